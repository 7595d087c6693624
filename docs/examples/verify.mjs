// Usage: ISSUER=https://… AUDIENCE=… node verify.mjs 'https://your-app.com/callback?data=…&signature=…'
import { createRemoteJWKSet, jwtVerify } from 'jose'

try {
  const { ISSUER, AUDIENCE } = process.env
  if (!ISSUER || !AUDIENCE) throw new Error('ISSUER and AUDIENCE must be set')

  const query = new URL(process.argv[2]).searchParams
  const [data, ...moreData] = query.getAll('data')
  const [detached, ...moreSignatures] = query.getAll('signature')
  if (!data || !detached || moreData.length || moreSignatures.length) throw new Error('not one data and one signature')

  // header..signature: 64 bytes in the one spelling base64url has for them
  const parts = /^([\w-]+)\.\.([\w-]{85}[AQgw])$/.exec(detached)
  if (!parts) throw new Error('signature is not a detached JWS')

  // a server keeps this key set: it is a cache, and fetches again when it meets a new kid
  const keys = createRemoteJWKSet(new URL(`${ISSUER}/.well-known/jwks.json`))
  const pins = { algorithms: ['EdDSA'], issuer: ISSUER, audience: AUDIENCE, typ: 'link-return+jwt' }
  const { payload } = await jwtVerify(`${parts[1]}.${data}.${parts[2]}`, keys, pins)
  const claims = ['exp', 'iat', 'jti', 'status', ...(payload.status === 'completed' ? ['code'] : [])]
  for (const claim of claims) if (!payload[claim]) throw new Error(`${claim} is missing`)
  console.log(JSON.stringify(payload))
} catch (error) {
  console.error(`rejected: ${error.code ?? error.name}: ${error.message}`.replace(/[^ -~]+/g, ' '))
  process.exit(1)
}
