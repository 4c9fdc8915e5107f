/** Conflicts that are merged, and those that cannot be. */

import { isTransient } from '../../core/errors.ts'
import { noTid, type Oid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { errorOf, holds, refuses, same } from '../claims.ts'
import { mergeNumbers, toBytes, toText } from '../client.ts'
import { diverge, finish, storeAndVote, untilThrough } from '../conflicting.ts'
import type { Workshop } from '../workshop.ts'

export const conflictResolution = topic(
  'conflict resolution',
  (it) => {
    it('two changes of a number are merged', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, other, oid, serial } = await diverge(shop, '10', '15')
      const voted = await storeAndVote(mine.begin(), oid, serial, '12')
      const tid = await voted.finish()
      same(await mine.readNow(oid), '17', 'the number')
      same((await mine.load(oid)).serial, tid, 'its serial')
      same(await other.readNow(oid), '17', 'the number for the other client')
    })

    it('the merged object is in resolvedOids, the others are not', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, oid } = await diverge(shop, '1', '2')
      const plain = await mine.newOid()
      const voted = await mine.vote(
        new Map([
          [oid, '5'],
          [plain, '7'],
        ]),
      )
      same([...voted.resolvedOids], [oid], 'resolvedOids')
      await voted.finish()
      await mine.poll()
      same(await mine.readMany([oid, plain]), ['6', '7'], 'the objects')
    })

    it('the resolver is given base, committed and mine', async (shop) => {
      const seen: string[][] = []
      await shop.openWith({
        resolveConflict: (_oid, ...states) => {
          seen.push(states.map(toText))
          return toBytes('merged')
        },
      })
      const { mine, oid, serial } = await diverge(shop, 'base', 'committed')
      await finish(storeAndVote(mine.begin(), oid, serial, 'mine'))
      same(seen[0], ['base', 'committed', 'mine'], 'what the resolver was given')
      same(await mine.readNow(oid), 'merged', 'the object')
    })

    it('the resolver is given the oid', async (shop) => {
      const seen: Oid[] = []
      await shop.openWith({
        resolveConflict: (oid, base, committed, mine) => {
          seen.push(oid)
          return mergeNumbers(oid, base, committed, mine)
        },
      })
      const { mine, oid, serial } = await diverge(shop, '1', '2')
      await finish(storeAndVote(mine.begin(), oid, serial, '3'))
      same(seen[0], oid, 'the oid')
    })

    it('the base is the revision that the change started from, not the one before the newest', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, other, oid, serial } = await diverge(shop, '0', '10')
      await other.write(oid, '30')
      await other.write(oid, '60')
      await finish(storeAndVote(mine.begin(), oid, serial, '1'))
      same(await mine.readNow(oid), '61', 'the number')
    })

    it('the resolver is not called without a conflict', async (shop) => {
      const calls = await resolverCalls(shop)
      const client = await shop.client()
      const oid = await client.createOne('1')
      await client.write(oid, '2')
      same(calls(), 0, 'calls of the resolver')
    })

    it('a resolver that cannot merge makes it a conflict', async (shop) => {
      await shop.openWith({ resolveConflict: () => undefined })
      const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
      await refuses('conflict', 'the vote', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
      same(await mine.readNow(oid), 'theirs', 'the object')
    })

    it('a resolver that throws makes it a conflict, not an error of its own', async (shop) => {
      await shop.openWith({
        resolveConflict: () => {
          throw new RangeError('broken resolver')
        },
      })
      const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
      await refuses('conflict', 'the vote', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
      await mine.write(oid, 'repeated')
      same(await mine.readNow(oid), 'repeated', 'the object after repeating')
    })

    it('one object that cannot be merged spoils the whole transaction', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const [mine, other] = await shop.clients(2)
      const [number, word] = await mine!.create('1', 'word')
      await mine!.poll()
      await other!.commit(
        new Map([
          [number!, '2'],
          [word!, 'theirs'],
        ]),
      )
      await refuses('conflict', 'the commit', () =>
        mine!.commitHere(
          new Map([
            [number!, '5'],
            [word!, 'mine'],
          ]),
        ),
      )
      await mine!.poll()
      same(await mine!.readMany([number!, word!]), ['2', 'theirs'], 'the objects')
    })

    it('a new object has nothing to be merged with', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const [a, b] = await shop.clients(2)
      const oid = await a!.newOid()
      await b!.poll()
      await a!.write(oid, '1')
      await refuses('conflict', 'the second creation', () => storeAndVote(b!.begin(), oid, noTid, '2'))
    })

    it('a merge is seen by others as a change', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, other, oid, serial } = await diverge(shop, '1', '2')
      await other.poll()
      await finish(storeAndVote(mine.begin(), oid, serial, '5'))
      const changed = await other.poll()
      holds(changed === 'all' || changed.has(oid), 'the other client is told of the object')
      same(await other.read(oid), '6', 'the object')
    })

    it('an aborted merge leaves no trace', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, oid, serial } = await diverge(shop, '1', '2')
      const voted = await storeAndVote(mine.begin(), oid, serial, '5')
      await voted.abort()
      same(await mine.readNow(oid), '2', 'the object')
    })

    it('merged conflicts are counted, and not as conflicts', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, oid, serial } = await diverge(shop, '1', '2')
      const before = mine.storage.counters()
      await finish(storeAndVote(mine.begin(), oid, serial, '5'))
      const after = mine.storage.counters()
      same(after.resolvedConflicts - before.resolvedConflicts, 1, 'resolved conflicts counted')
      same(after.conflicts - before.conflicts, 0, 'conflicts counted')
    })

    it('the stored states stay as they were', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const { mine, other, oid, serial } = await diverge(shop, '1', '2')
      await other.poll()
      await finish(storeAndVote(mine.begin(), oid, serial, '5'))
      same(await other.read(oid), '2', 'the object in a snapshot from before the merge')
    })

    it('a merge that waited for its vote merges with what was committed meanwhile', async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const clients = await shop.clients(6)
      const oid = await clients[0]!.createOne('0')
      for (const client of clients) await client.poll()
      await Promise.all(
        clients.map(async (client, index) => {
          const { serial } = await client.load(oid)
          // A storage may refuse to wait; then the whole is repeated from a new snapshot.
          const error = await errorOf(() =>
            finish(storeAndVote(client.begin(), oid, serial, String(10 ** index))),
          )
          if (error === undefined) return
          if (!isTransient(error)) throw error
          await untilThrough(client, async () => {
            await client.poll()
            const number = Number(await client.read(oid))
            await client.commitHere(new Map([[oid, String(number + 10 ** index)]]))
          })
        }),
      )
      same(await clients[0]!.readNow(oid), '111111', 'the sum')
    })

    it(
      'a change of a deleted object is a conflict that no resolver is asked about',
      async (shop) => {
        const calls = await resolverCalls(shop)
        const { mine, oid, serial } = await diverge(shop, 'base', null)
        await refuses('conflict', 'the vote', () => storeAndVote(mine.begin(), oid, serial, 'mine'))
        same(calls(), 0, 'calls of the resolver')
      },
      needs('deletion'),
    )

    it(
      'a deletion of a changed object is a conflict that no resolver is asked about',
      async (shop) => {
        const calls = await resolverCalls(shop)
        const { mine, oid, serial } = await diverge(shop, 'base', 'theirs')
        await refuses('conflict', 'the vote', () => storeAndVote(mine.begin(), oid, serial, null))
        same(calls(), 0, 'calls of the resolver')
        same(await mine.readNow(oid), 'theirs', 'the object')
      },
      needs('deletion'),
    )
  },
  needs('conflictResolution'),
)

/** Opens the store with a resolver that merges anything. Returns how often it has been asked. */
async function resolverCalls(shop: Workshop): Promise<() => number> {
  let calls = 0
  await shop.openWith({
    resolveConflict: () => {
      calls++
      return toBytes('merged')
    },
  })
  return () => calls
}
