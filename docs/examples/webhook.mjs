// Usage: ISSUER=https://… PORT=3000 node webhook.mjs — verifies with the published key, so there is no secret to keep
import { createPublicKey, verify } from 'node:crypto'
import { createServer } from 'node:http'

const { ISSUER, PORT } = process.env
let keys = [] // a cache: fetched again when no key of it has signed
let fetchedAt = 0
const seen = new Set() // stands for your database: an event can come twice

async function fetchKeys() {
  if (Date.now() - fetchedAt < 5000) return
  fetchedAt = Date.now()
  const answer = await fetch(`${ISSUER}/.well-known/jwks.json`, { signal: AbortSignal.timeout(5000) })
  const set = await answer.json()
  keys = set.keys.filter((key) => key.crv === 'Ed25519').map((key) => createPublicKey({ key, format: 'jwk' }))
}

async function isSigned(headers, body) {
  const { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signatures } = headers
  if (!id || !/^\d+$/.test(timestamp ?? '') || !signatures) return false
  if (Math.abs(Date.now() / 1000 - Number(timestamp)) > 300) return false // sent once more by somebody else
  const message = Buffer.concat([Buffer.from(`${id}.${timestamp}.`), body])
  const given = signatures.split(' ').filter((text) => text.startsWith('v1a,')).map((text) => Buffer.from(text.slice(4), 'base64'))
  const matches = () => given.some((signature) => keys.some((key) => verify(null, message, key, signature)))
  if (matches()) return true
  await fetchKeys()
  return matches()
}

createServer(async (request, response) => {
  try {
    const pieces = []
    for await (const piece of request) pieces.push(piece)
    const body = Buffer.concat(pieces)
    if (!(await isSigned(request.headers, body))) return response.writeHead(400).end()
    const event = JSON.parse(body)
    // answer soon, and do the work afterwards: what takes longer than ten seconds is sent again
    if (!seen.has(event.id)) console.log(event.id, event.type, event.metadata.external_user_id)
    seen.add(event.id)
    response.writeHead(204).end()
  } catch (error) {
    console.error(error.message)
    response.writeHead(500).end()
  }
}).listen(Number(PORT), '127.0.0.1')
