// A whole session with the client that was generated from openapi.json into ./generated.

import { AuthenticatorApi, Configuration, Language, ManufacturerApi, ResponseError, Status } from "./generated"

declare const process: { argv: string[] }

const [basePath, manufacturerKey, authenticatorKey] = process.argv.slice(2)
const manufacturer = new ManufacturerApi(new Configuration({ basePath, apiKey: manufacturerKey }))
const authenticator = new AuthenticatorApi(new Configuration({ basePath, apiKey: authenticatorKey }))

function expect(holds: boolean, what: string) {
  if (!holds) throw new Error(`does not hold: ${what}`)
}

async function refusal(answer: Promise<unknown>) {
  try {
    await answer
  } catch (error) {
    if (error instanceof ResponseError) return await error.response.json()
    throw error
  }
  throw new Error("not refused")
}

async function main() {
  const user = "user-of-typescript"
  const create = {
    idempotencyKey: "typescript-1",
    createLinkSession: {
      userId: user, redirectUrl: "https://your-app.com/callback", language: Language.Fr, metadata: { order: "A-1042" },
    },
  }
  const created = await manufacturer.createLinkSession(create)
  expect(created.linkUrl.includes(created.linkToken) && created.completedAt === null, "a session is created")
  const again = await manufacturer.createLinkSession(create)
  expect(again.linkToken === created.linkToken, "the same key is the same session")

  const open = await manufacturer.getLinkSession({ linkToken: created.linkToken })
  expect(open.status === Status.Open && open.metadata?.order === "A-1042", "it is open")
  const byId = await manufacturer.getLinkSession({ linkToken: open.id })
  expect(byId.id === open.id && byId.linkToken === undefined, "its id finds it, without its token")

  const greeted = await authenticator.getLinkSessionForAuthenticator({ linkToken: created.linkToken })
  expect(greeted.manufacturer === created.manufacturer, "the Authenticator greets its user")
  const completed = await authenticator.completeLinkSession({
    linkToken: created.linkToken, completeLinkSession: { supplier: "sandbox", supplierUserId: "maria" },
  })
  expect(completed.completedAt >= created.createdAt, "it is completed")

  const data = new URL(completed.returnUrl).searchParams.get("data") ?? ""
  const { code } = JSON.parse(atob(data.replace(/-/g, "+").replace(/_/g, "/")))
  const confirmation = await manufacturer.confirmLinkSession({
    linkToken: created.linkToken, confirmLinkSession: { userId: user, code },
  })
  expect(confirmation.supplier === "sandbox" && confirmation.connectedAt === completed.completedAt, "it is confirmed")

  const { data: sessions } = await manufacturer.listLinkSessions({ userId: user, status: Status.Completed })
  expect(sessions.map((session) => session.id).join() === open.id, "a list has it")
  const types = "link_session.opened,link_session.completed,link_session.confirmed"
  for (let told = "", tries = 0; told !== types; tries++) {
    const { data: events } = await manufacturer.listLinkSessionEvents({ linkToken: open.id })
    told = events.map((event) => event.type).join()
    expect(tries < 100, "its events are told")
    await new Promise((resolve) => setTimeout(resolve, 50))
  }

  const refused = await refusal(manufacturer.expireLinkSession({ linkToken: open.id }))
  expect(refused.code === "link_session_completed", "a completed one cannot expire")
  console.log(created.linkToken)
}

main()
