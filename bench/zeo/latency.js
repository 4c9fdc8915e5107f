/**
 * What a commit takes where the network is slow: a proxy holds everything back for half a round trip each way. Round
 * trips of a commit are what it takes longer than without the proxy, over what a bare round trip takes longer.
 */

import { join } from 'node:path'
import {
  commits,
  connectFloor,
  fill,
  inFolder,
  inTurns,
  median,
  openClient,
  openFloor,
  report,
  sample,
  shown,
  startProxy,
  withServer,
} from './support.js'

const turns = Number(process.argv[2] ?? 5)
const data = new Uint8Array(400).fill(7)

await inFolder((folder) =>
  withServer({}, async (served) => {
    const near = await openFloor('unix', folder)
    for (const roundTripMs of [0.1, 1, 10, 50]) {
      const perTurn = roundTripMs > 5 ? 4 : 50
      const [path, barePath] = [join(folder, `proxy-${roundTripMs}`), join(folder, `bare-${roundTripMs}`)]
      const proxies = [
        await startProxy(path, served.address.slice('unix:'.length), roundTripMs),
        await startProxy(barePath, near.place, roundTripMs),
      ]
      const [storage, direct] = [await openClient(`unix:${path}`), await openClient(served.address)]
      const far = await connectFloor(barePath)
      const [there, here] = [await storage.newInstance(), await direct.newInstance()]
      const [oids, ownOids] = [await fill(there, 1, 400), await fill(here, 1, 400)]
      const found = await inTurns(turns, {
        near: () => sample(50, () => near.trip(500, 40)),
        far: () => sample(perTurn, () => far.trip(500, 40)),
        direct: () => commits(50, here, ownOids, data),
        commit: () => commits(perTurn, there, oids, data),
      })
      const [commit, bare] = [median(found.commit), median(found.far)]
      const trips = (commit - median(found.direct)) / (bare - median(found.near))
      report(
        `commit over a network of ${roundTripMs} ms`,
        `${shown(commit / 1000)} ms, bare round trip ${shown(bare / 1000)} ms: ${trips.toFixed(2)} round trips`,
        '≤ 1.1',
        trips <= 1.1,
      )
      await storage.close()
      await direct.close()
      far.close()
      for (const proxy of proxies) proxy.disconnect()
    }
    near.close()
  }),
)
