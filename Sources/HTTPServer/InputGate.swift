internal import NIOCore

/// The first handler of the pipeline: what comes goes to its owner, which decides what of it is parsed, and when.
final class InputGate: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    private let owner: ConnectionHandler

    init(owner: ConnectionHandler) { self.owner = owner }

    func handlerAdded(context: ChannelHandlerContext) {
        owner.parse = { bytes in context.fireChannelRead(self.wrapInboundOut(bytes)) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { owner.receive(unwrapInboundIn(data)) }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case ChannelEvent.inputClosed = event {
            owner.endInput()
        } else {
            context.fireUserInboundEventTriggered(event)
        }
    }
}
