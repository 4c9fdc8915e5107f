/** Races: models run by writers and verifiers in seeded schedules. */

import { needs, needsSharing, topic } from '../behaviour.ts'
import { begun, pause } from '../claims.ts'
import type { Client } from '../client.ts'
import { bankModel, pairModel, phaseModel, race } from '../race-models.ts'
import type { Workshop } from '../workshop.ts'

const models = [pairModel, phaseModel, bankModel]

/** Storages of one store, opened side by side, each with a client. */
async function clientsOfSeveral(shop: Workshop, count: number): Promise<readonly Client[]> {
  const clients: Client[] = []
  for (let opened = 0; opened < count; opened++) clients.push(await shop.client(await shop.open()))
  return clients
}

export const races = topic('races', (it) => {
  for (const model of models) {
    it(`${model.name}: one writer, one verifier`, async (shop) => {
      const [writer, verifier] = await shop.clients(2)
      await race(model, shop.random, {
        writers: [writer!],
        verifiers: [verifier!],
        attempts: 150,
        rounds: 150,
        splitsCommit: true,
      })
    })

    it(`${model.name}: four writers, four verifiers`, async (shop) => {
      const clients = await shop.clients(8)
      await race(model, shop.random, {
        writers: clients.slice(0, 4),
        verifiers: clients.slice(4),
        attempts: 40,
        rounds: 60,
        splitsCommit: true,
      })
    })
  }

  it(
    'two objects kept equal, while the store is packed again and again',
    async (shop) => {
      const clients = await shop.clients(4)
      const { storage } = clients[0]!
      let isRacing = true
      const packing = begun(async () => {
        while (isRacing) {
          await storage.pack!({ before: storage.lastTid })
          await pause(3)
        }
      })
      try {
        await race(pairModel, shop.random, {
          writers: clients.slice(0, 2),
          verifiers: clients.slice(2),
          attempts: 60,
          rounds: 80,
          splitsCommit: true,
        })
      } finally {
        isRacing = false
        await packing
      }
    },
    needs('pack'),
  )

  it('three objects in step, while connections come and go', async (shop) => {
    const writers = await shop.clients(2)
    for (let round = 0; round < 8; round++) {
      const verifiers = await shop.clients(2)
      await race(phaseModel, shop.random.split(round), {
        writers,
        verifiers,
        attempts: 15,
        rounds: 15,
        splitsCommit: true,
      })
      for (const verifier of verifiers) await verifier.instance.release()
    }
  })
})

export const sharedRaces = topic(
  'races between storages',
  (it) => {
    for (const model of models) {
      it(`${model.name}: two storages`, async (shop) => {
        const [a, b] = await clientsOfSeveral(shop, 2)
        await race(model, shop.random, {
          writers: [a!, b!],
          verifiers: [await shop.client(a!.storage), await shop.client(b!.storage)],
          attempts: 40,
          rounds: 60,
          // Who blocks the event loop while it waits for a lock would never let the holder finish.
          splitsCommit: !shop.capabilities.blocking,
        })
      })

      it(`${model.name}: four storages`, async (shop) => {
        const clients = await clientsOfSeveral(shop, 4)
        const verifiers: Client[] = []
        for (const { storage } of clients) verifiers.push(await shop.client(storage))
        await race(model, shop.random, {
          writers: clients,
          verifiers,
          attempts: 20,
          rounds: 40,
          splitsCommit: !shop.capabilities.blocking,
        })
      })
    }
  },
  needsSharing,
)
