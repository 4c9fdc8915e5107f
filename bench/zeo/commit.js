/**
 * Commits through a server, of one object and of 1000, against a bare round trip and the commits of the same storage
 * without a server between.
 */

import {
  commits,
  fill,
  inFolder,
  inTurns,
  median,
  note,
  openClient,
  openFloor,
  openOwn,
  report,
  sample,
  shown,
  withServer,
} from './support.js'

const turns = Number(process.argv[2] ?? 11)
const data = new Uint8Array(400).fill(7)
/** `begin`, a store, vote and finish go; two answers come. */
const [requestBytes, answerBytes] = [28 + 32 + 400 + 32, 16 + 24]

/** @type {readonly { serve: 'memory' | 'file', durability?: string, perTurn: number }[]} */
const ways = [
  { serve: 'memory', perTurn: 200 },
  { serve: 'file', durability: 'os', perTurn: 100 },
  { serve: 'file', durability: 'full', perTurn: 20 },
]

for (const { serve, durability, perTurn } of ways) {
  await inFolder((folder) =>
    withServer({ serve, ...(durability === undefined ? {} : { durability }) }, async (served) => {
      const floor = await openFloor('unix', folder)
      const [storage, own] = [await openClient(served.address), await openOwn(serve, folder, durability)]
      const [there, here] = [await storage.newInstance(), await own.newInstance()]
      const [oids, ownOids] = [await fill(there, 1000, 400), await fill(here, 1000, 400)]
      const [one, ownOne] = [oids.slice(0, 1), ownOids.slice(0, 1)]
      const times = await inTurns(turns, {
        bare: () => sample(perTurn, () => floor.trip(requestBytes, answerBytes)),
        own: () => commits(perTurn, here, ownOne, data),
        commit: () => commits(perTurn, there, one, data),
      })
      const excess = median(
        times.commit.map((us, turn) => us - (times.bare[turn] ?? 0) - (times.own[turn] ?? 0)),
      )
      const name = durability === undefined ? serve : `${serve}, durability=${durability}`
      report(
        `commit of 1 object, ${name}`,
        `${shown(median(times.commit))} µs, bare ${shown(median(times.bare))} + own ${shown(median(times.own))} µs: ${shown(excess)} µs more`,
        '≤ 50 µs more',
        excess <= 50,
      )
      const before = storage.counters().roundTrips
      await there.pollInvalidations()
      const transaction = there.begin()
      transaction.store(one[0], (await there.load(one[0])).serial, data)
      const between = storage.counters().roundTrips
      await transaction.commit()
      const trips = storage.counters().roundTrips - between
      await there.afterCompletion()
      report('  round trips of that commit', `${trips}, poll and load ${between - before}`, '≤ 1', trips <= 1)
      const many = await inTurns(Math.min(turns, 7), {
        own: () => commits(4, here, ownOids, data),
        commit: () => commits(4, there, oids, data),
      })
      const perObject = median(many.commit) / 1000
      report(
        `commit of 1000 objects, ${name}, each`,
        `${shown(perObject)} µs, own ${shown(median(many.own) / 1000)} µs`,
        '≤ 10 µs',
        perObject <= 10,
      )
      const count = 5 * perTurn
      const [client, server] = [process.cpuUsage(), await served.cpuUs()]
      await commits(count, there, one, data)
      const { user, system } = process.cpuUsage(client)
      const serverUs = ((await served.cpuUs()) - server) / count
      note(
        'processor time of poll, load and commit',
        `client ${shown((user + system) / count)} µs, server ${shown(serverUs)} µs`,
      )
      await storage.close()
      await own.close()
      floor.close()
    }),
  )
}
