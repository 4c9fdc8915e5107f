/**
 * Commits through a server, of one object and of 1000. The floor is one bare round trip to a process that commits the
 * same to a storage of the same kind; beside it stand a bare round trip, and a commit without a server between, each
 * measured apart.
 */

import {
  commits,
  fill,
  inFolder,
  inPlaces,
  inTurns,
  median,
  note,
  openClient,
  openFloor,
  openOwn,
  report,
  sample,
  shown,
  warmCalls,
  withServer,
} from './support.js'

const turns = Number(process.argv[2] ?? 11)
const data = new Uint8Array(400).fill(7)
/** `begin`, a store, vote and finish go; two answers come. */
const [requestBytes, answerBytes] = [28 + 32 + 400 + 32, 16 + 24]

/**
 * What a flush takes changes from second to second: there, turns are short, and many.
 * @type {readonly { serve: 'memory' | 'file', durability?: string, perTurn: number, share?: number }[]}
 */
const ways = [
  { serve: 'memory', perTurn: 200 },
  { serve: 'file', durability: 'os', perTurn: 100 },
  { serve: 'file', durability: 'full', perTurn: 20, share: 4 },
]

for (const { serve, durability, perTurn, share = 1 } of ways) {
  const kind = { serve, ...(durability === undefined ? {} : { durability }) }
  await inFolder((folder) =>
    withServer(kind, async (served) => {
      const floor = await openFloor('unix', folder)
      const committing = await openFloor('unix', folder, kind)
      const [storage, own] = [await openClient(served.address), await openOwn(serve, folder, durability)]
      const [there, here] = [await storage.newInstance(), await own.newInstance()]
      const [oids, ownOids] = [await fill(there, 1000, 400), await fill(here, 1000, 400)]
      const [one, ownOne] = [oids.slice(0, 1), ownOids.slice(0, 1)]
      const name = durability === undefined ? serve : `${serve}, durability=${durability}`
      const bareTrip = () => floor.trip(requestBytes, answerBytes)
      const committingTrip = () => committing.trip(requestBytes, answerBytes)
      await sample(warmCalls, bareTrip)
      await sample(warmCalls, committingTrip)
      await commits(warmCalls, here, ownOne, data)
      await commits(warmCalls, there, one, data)
      await inPlaces([served.pid, floor.pid, committing.pid], async (place) => {
        const times = await inTurns(share * turns, {
          bare: () => sample(perTurn, bareTrip),
          own: () => commits(perTurn, here, ownOne, data),
          both: () => sample(perTurn, committingTrip),
          commit: () => commits(perTurn, there, one, data),
        })
        /** @param {(turn: number) => number} floorUs */
        const above = (floorUs) => median(times.commit.map((us, turn) => us - floorUs(turn)))
        const more = above((turn) => times.both[turn] ?? 0)
        const moreThanApart = above((turn) => (times.bare[turn] ?? 0) + (times.own[turn] ?? 0))
        report(
          `commit of 1 object, ${name}, ${place}`,
          `${shown(median(times.commit))} µs, own behind a bare socket ${shown(median(times.both))} µs: ${shown(more)} µs more`,
          '≤ 50 µs more',
          more <= 50,
        )
        note(
          'each apart',
          `bare ${shown(median(times.bare))} + own ${shown(median(times.own))} µs: ${shown(moreThanApart)} µs more`,
        )
      })
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
      const count = 1000
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
      committing.close()
    }),
  )
}
