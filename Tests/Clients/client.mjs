// Node's fetch with its defaults.
const [sessions, key, rounds] = process.argv.slice(2)

async function answer(url, options = {}) {
  const start = performance.now()
  const answer = await fetch(url, { ...options, headers: { 'x-api-key': key, ...options.headers } })
  const body = await answer.text()
  console.log([body, answer.status, (performance.now() - start) / 1000].join('\t'))
  return JSON.parse(body)
}

for (let round = 0; round < rounds; round++) {
  const { link_token } = await answer(sessions, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user_id: 'user-1', redirect_url: 'https://your-app.com/callback' }),
  })
  await answer(`${sessions}/${link_token}`)
  await answer(`${sessions}/${link_token}/expire`, { method: 'POST' })
}
