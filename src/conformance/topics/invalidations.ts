/**
 * Invalidations: the poll that opens a snapshot names every object that has changed since the last one. An instance
 * that is told too little goes on using what is out of date, so this is where lost updates begin.
 */

import type { Oid } from '../../core/ids.ts'
import type { Invalidations } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, fail, holds, lookingOn, pause, same } from '../claims.ts'
import { type Client, mergeNumbers } from '../client.ts'

function tells(changed: Invalidations, oids: Iterable<Oid>, who: string): void {
  if (changed === 'all') return
  for (const oid of oids)
    if (!changed.has(oid)) fail(`lost invalidation: ${who} is not told that object ${oid} changed`)
}

export const invalidations = topic('invalidations', (it) => {
  it('a poll reports exactly the objects that others changed', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const [a, , c] = await writer!.create('a', 'b', 'c')
    await reader!.poll()
    await writer!.commit(
      new Map([
        [a!, 'changed'],
        [c!, 'changed'],
      ]),
    )
    same(await reader!.poll(), new Set([a!, c!]), 'what the reader is told')
  })

  it('a poll reports objects that others created', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    await reader!.poll()
    const oid = await writer!.createOne('new')
    tells(await reader!.poll(), [oid], 'the reader')
  })

  it(
    'a poll reports objects that others deleted',
    async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oid = await writer!.createOne('a')
      await reader!.poll()
      await writer!.write(oid, null)
      tells(await reader!.poll(), [oid], 'the reader')
    },
    needs('deletion'),
  )

  it('when nothing happened, nothing is reported', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    await writer!.createOne('a')
    await reader!.poll()
    same(await reader!.poll(), new Set(), 'what the reader is told')
  })

  it('a change is reported once', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('a')
    await reader!.poll()
    await writer!.write(oid, 'b')
    tells(await reader!.poll(), [oid], 'the reader')
    same(await reader!.poll(), new Set(), 'what the reader is told the second time')
  })

  it('several transactions between two polls add up', async (shop) => {
    const [reader, a, b] = await shop.clients(3)
    const oids = await a!.create('1', '2', '3', '4')
    await reader!.poll()
    await a!.write(oids[0]!, 'x')
    await b!.write(oids[1]!, 'x')
    await a!.write(oids[2]!, 'x')
    await b!.write(oids[0]!, 'y')
    same(await reader!.poll(), new Set(oids.slice(0, 3)), 'what the reader is told')
  })

  it('an instance is not told of its own changes', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    await client.commitHere(new Map([[oid, 'b']]))
    same(await client.poll(), new Set(), 'what the committer is told')
  })

  it('an instance is told when somebody changes what it has just changed itself', async (shop) => {
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('0')
    await a!.poll()
    await a!.commitHere(new Map([[oid, 'mine']]))
    await b!.write(oid, 'theirs')
    tells(await a!.poll(), [oid], 'the first committer')
    same(await a!.read(oid), 'theirs', 'the object')
  })

  it('an instance is told of what was committed before its own commit', async (shop) => {
    const [a, b] = await shop.clients(2)
    const [x, y] = await a!.create('x', 'y')
    await a!.poll()
    await b!.write(x!, 'theirs')
    await a!.commitHere(new Map([[y!, 'mine']]))
    same(await a!.poll(), new Set([x!]), 'what the later committer is told')
    same(await a!.readMany([x!, y!]), ['theirs', 'mine'], 'the objects')
  })

  it('aborted changes are not reported', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('a')
    await reader!.poll()
    await writer!.poll()
    await (await writer!.vote(new Map([[oid, 'b']]))).abort()
    same(await reader!.poll(), new Set(), 'what the reader is told')
  })

  it('voted changes are reported when they are finished, not before', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('a')
    await reader!.poll()
    await writer!.poll()
    const voted = await writer!.vote(new Map([[oid, 'b']]))
    same(await reader!.poll(), new Set(), 'what the reader is told before finish')
    await voted.finish()
    tells(await reader!.poll(), [oid], 'the reader')
  })

  it('every instance is told', async (shop) => {
    const clients = await shop.clients(10)
    const oid = await clients[0]!.createOne('a')
    for (const client of clients) await client.poll()
    await clients[3]!.write(oid, 'b')
    for (const [index, client] of clients.entries()) {
      if (index !== 3) tells(await client.poll(), [oid], `reader ${index}`)
    }
  })

  it('a release of one instance does not silence the others', async (shop) => {
    const [reader, writer, leaver] = await shop.clients(3)
    const oid = await writer!.createOne('a')
    for (const client of [reader!, leaver!]) await client.poll()
    await leaver!.instance.release()
    await writer!.write(oid, 'b')
    tells(await reader!.poll(), [oid], 'the reader')
  })

  it('changes are remembered while no snapshot is open', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('a')
    await reader!.poll()
    await reader!.instance.afterCompletion()
    await writer!.write(oid, 'b')
    tells(await reader!.poll(), [oid], 'the reader')
  })

  it('whoever was away for a thousand commits is told of all of them', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oids = await writer!.create(...Array.from({ length: 20 }, () => '0'))
    const quiet = await writer!.createOne('quiet')
    await reader!.poll()
    for (let round = 0; round < 1000; round++) await writer!.write(oids[round % oids.length]!, `${round}`)
    const changed = await reader!.poll()
    tells(changed, oids, 'the reader')
    holds(changed === 'all' || !changed.has(quiet), 'an object that did not change is not reported')
    same(await reader!.read(oids[19]!), '999', 'the object that was changed last')
  })

  it('a transaction of five thousand objects is reported whole', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    await reader!.poll()
    const oids = await writer!.create(...Array.from({ length: 5000 }, () => 'x'))
    tells(await reader!.poll(), oids, 'the reader')
  })

  it('what a poll reported stays as it is', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const [a, b] = await writer!.create('a', 'b')
    await reader!.poll()
    await writer!.write(a!, 'x')
    const changed = await reader!.instance.pollInvalidations()
    await writer!.write(b!, 'x')
    await reader!.poll()
    if (changed !== 'all') same([...changed], [a!], 'what the earlier poll reported')
  })

  it(
    'merged objects are reported to everybody else',
    async (shop) => {
      await shop.openWith({ resolveConflict: mergeNumbers })
      const [a, b, reader] = await shop.clients(3)
      const oid = await a!.createOne('1')
      await a!.poll()
      await b!.write(oid, '2')
      await reader!.poll()
      await a!.commitHere(new Map([[oid, '5']]))
      tells(await reader!.poll(), [oid], 'the reader')
      tells(await b!.poll(), [oid], 'the other writer')
    },
    needs('conflictResolution'),
  )

  it('a cache that is kept by them alone is always right', async (shop) => {
    const clients = await shop.clients(3)
    const [reader, ...writers] = clients
    const oids = await reader!.create(...Array.from({ length: 12 }, () => '0'))
    const cache = new Map<Oid, string | undefined>()
    const write = async (writer: Client, index: number) => {
      const own = oids.filter((_, place) => place % writers.length === index)
      for (let round = 1; round <= 60; round++) {
        const picked = shop.random.shuffled(own).slice(0, 1 + shop.random.integer(3))
        await writer.commit(new Map(picked.map((oid) => [oid, `${round}`])))
        if (shop.random.integer(3) === 0) await pause()
      }
    }
    const writing = begun(() => Promise.all(writers.map(write)))
    await lookingOn(writing, async () => {
      const changed = await reader!.poll()
      if (changed === 'all') cache.clear()
      else for (const oid of changed) cache.delete(oid)
      for (const oid of shop.random.shuffled(oids).slice(0, 6)) {
        const text = await reader!.read(oid)
        if (cache.has(oid))
          same(cache.get(oid), text, `the cached state of object ${oid} that no poll reported`)
        cache.set(oid, text)
      }
      await pause()
    })
  })
})
