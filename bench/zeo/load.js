/** Cold loads, one by one and in bulk, over a unix socket and over TCP, each against a bare socket of the same kind. */

import {
  fill,
  inFolder,
  inPlaces,
  inTurns,
  median,
  note,
  openClient,
  openFloor,
  ratio,
  report,
  sample,
  shown,
  warmCalls,
  withServer,
} from './support.js'

const turns = Number(process.argv[2] ?? 15)
const loadsPerTurn = 300
const objects = 1000
const objectBytes = 400
/** What a load and its answer take, and what 1000 in one request take. */
const [loadBytes, answerBytes] = [24, 32 + objectBytes]
const [bulkBytes, bulkAnswerBytes] = [16 + 8 * objects, objects * (12 + objectBytes)]

for (const transport of ['unix', 'tcp']) {
  await inFolder((folder) =>
    withServer({ transport }, async (served) => {
      const floor = await openFloor(transport, folder)
      const storage = await openClient(served.address)
      const instance = await storage.newInstance()
      const oids = await fill(instance, objects, objectBytes)
      await instance.pollInvalidations()
      const bareTrip = () => floor.trip(loadBytes, answerBytes)
      /** @param {number} round */
      const coldLoad = (round) => instance.load(oids[round % objects])
      await sample(warmCalls, bareTrip)
      await sample(warmCalls, coldLoad)
      await inPlaces([served.pid, floor.pid], async (place) => {
        const single = await inTurns(turns, {
          bare: () => sample(loadsPerTurn, bareTrip),
          load: () => sample(loadsPerTurn, coldLoad),
        })
        const times = ratio(single.load, single.bare)
        report(
          `cold load, ${transport}, ${place}, p50`,
          `${shown(median(single.load))} µs, bare ${shown(median(single.bare))} µs: ${times.toFixed(2)} ×`,
          '≤ 3 ×',
          times <= 3,
        )
      })
      const bulk = await inTurns(turns, {
        bare: () => sample(5, () => floor.trip(bulkBytes, bulkAnswerBytes)),
        load: () => sample(5, () => instance.loadMany(oids)),
      })
      const perObject = median(bulk.load) / objects
      report(
        `bulk load of ${objects}, ${transport}, per object`,
        `${shown(perObject)} µs, bare ${shown(median(bulk.bare) / objects)} µs`,
        '≤ 8 µs',
        perObject <= 8,
      )
      const count = 2000
      const [client, server] = [process.cpuUsage(), await served.cpuUs()]
      await sample(count, coldLoad)
      const { user, system } = process.cpuUsage(client)
      const serverUs = ((await served.cpuUs()) - server) / count
      note(
        'processor time of a cold load',
        `client ${shown((user + system) / count)} µs, server ${shown(serverUs)} µs`,
      )
      await storage.close()
      floor.close()
    }),
  )
}
