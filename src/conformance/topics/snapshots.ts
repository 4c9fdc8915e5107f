/** Snapshots: a reader sees one state of the whole store, whatever others do. */

import { noTid, type Tid } from '../../core/ids.ts'
import { needs, topic } from '../behaviour.ts'
import { begun, holds, lookingOn, refuses, same, within } from '../claims.ts'

export const snapshots = topic('snapshots', (it) => {
  it('an object reads the same while others change it', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('old')
    await reader!.poll()
    same(await reader!.read(oid), 'old', 'the object')
    for (let round = 0; round < 5; round++) {
      await writer!.write(oid, `new ${round}`)
      same(await reader!.read(oid), 'old', `the object after change ${round}`)
    }
  })

  it('an object first read after a change reads as before the change', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const [x, y] = await writer!.create('x', 'y')
    await reader!.poll()
    same(await reader!.read(x!), 'x', 'the first object')
    await writer!.commit(
      new Map([
        [x!, 'changed'],
        [y!, 'changed'],
      ]),
    )
    same(await reader!.read(y!), 'y', 'the second object, first read now')
    await reader!.poll()
    same(await reader!.readMany([x!, y!]), ['changed', 'changed'], 'both in the next snapshot')
  })

  it('the serial is that of the snapshot too', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.newOid()
    const first = await writer!.write(oid, 'old')
    await reader!.poll()
    await writer!.write(oid, 'new')
    same((await reader!.load(oid)).serial, first, 'the serial in the old snapshot')
  })

  it('an object that is created later does not exist', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    await reader!.poll()
    const oid = await writer!.createOne('later')
    same(await reader!.read(oid), undefined, 'the object in the old snapshot')
    same(await reader!.readNow(oid), 'later', 'the object in the next snapshot')
  })

  it('"does not exist" is forgotten with the snapshot', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.newOid()
    await reader!.poll()
    same(await reader!.read(oid), undefined, 'the object before it was created')
    await writer!.write(oid, 'there')
    const changed = await reader!.poll()
    holds(changed === 'all' || changed.has(oid), 'the poll reports the created object')
    same(await reader!.read(oid), 'there', 'the object')
  })

  it(
    'an object that is deleted later still exists',
    async (shop) => {
      const [reader, writer] = await shop.clients(2)
      const oid = await writer!.createOne('alive')
      await reader!.poll()
      await writer!.write(oid, null)
      same(await reader!.read(oid), 'alive', 'the object in the old snapshot')
      same(await reader!.readNow(oid), undefined, 'the object in the next snapshot')
    },
    needs('deletion'),
  )

  it('shows what was committed through the storage before the poll', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('0')
    for (let round = 1; round <= 20; round++) {
      const tid = await writer!.write(oid, `${round}`)
      same(await reader!.readNow(oid), `${round}`, 'the object after the poll')
      holds(reader!.instance.snapshotTid >= tid, 'snapshotTid is not before the commit')
    }
  })

  it('snapshotTid is the newest transaction shown', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    const tid = await client.write(oid, 'a')
    await client.poll()
    same(client.instance.snapshotTid, tid, 'snapshotTid')
  })

  it('snapshotTid stays while others commit, and never goes back', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('0')
    let last = noTid as Tid
    for (let round = 0; round < 10; round++) {
      await reader!.poll()
      const { snapshotTid } = reader!.instance
      holds(snapshotTid >= last, `snapshotTid ${snapshotTid} is not before ${last}`)
      await writer!.write(oid, `${round}`)
      same(reader!.instance.snapshotTid, snapshotTid, 'snapshotTid after another commit')
      last = snapshotTid
    }
  })

  it('an instance does not see its own commit before its next poll', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('old')
    await client.poll()
    const { snapshotTid } = client.instance
    await client.commitHere(new Map([[oid, 'new']]))
    same(client.instance.snapshotTid, snapshotTid, 'snapshotTid')
    same(await client.read(oid), 'old', 'the object before the poll')
    same(await client.readNow(oid), 'new', 'the object after the poll')
  })

  it('afterCompletion ends it', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    await client.instance.afterCompletion()
    await refuses('transaction-state', 'load after afterCompletion', () => client.load(oid))
    same(await client.readNow(oid), 'a', 'the object after the next poll')
  })

  it('afterCompletion twice is fine, and without a snapshot too', async (shop) => {
    const client = await shop.client()
    await client.instance.afterCompletion()
    await client.poll()
    await client.instance.afterCompletion()
    await client.instance.afterCompletion()
    await client.poll()
  })

  it('many snapshots are open at once, each of its own time', async (shop) => {
    const writer = await shop.client()
    const oids = await writer.create('0', '0')
    const readers = await shop.clients(12)
    for (const [index, reader] of readers.entries()) {
      await writer.commit(new Map(oids.map((oid) => [oid, `${index}`])))
      await reader.poll()
    }
    for (const [index, reader] of readers.entries()) {
      same(await reader.readMany(oids), [`${index}`, `${index}`], `what reader ${index} sees`)
    }
  })

  it('an old one outlives two hundred changes', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oids = await writer!.create('a', 'b', 'c')
    await reader!.poll()
    for (let round = 0; round < 200; round++) await writer!.write(oids[round % 3]!, `${round}`)
    same(await reader!.readMany(oids), ['a', 'b', 'c'], 'what the old snapshot shows')
  })

  it('old ones survive while younger ones come and go', async (shop) => {
    const [old, writer] = await shop.clients(2)
    const oid = await writer!.createOne('old')
    await old!.poll()
    for (let round = 0; round < 20; round++) {
      const passing = await shop.client()
      await passing.poll()
      await writer!.write(oid, `${round}`)
      same(await passing.read(oid), round === 0 ? 'old' : `${round - 1}`, 'what the passing reader sees')
      await passing.instance.release()
    }
    same(await old!.read(oid), 'old', 'what the old snapshot shows')
  })

  it('reading does not wait for somebody who has voted', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oid = await writer!.createOne('old')
    await writer!.poll()
    const voted = await writer!.vote(new Map([[oid, 'new']]))
    const text = await within(5000, 'reading while another has voted', reader!.readNow(oid))
    same(text, 'old', 'the object')
    await voted.finish()
  })

  it('a transaction is checked against the present, not against its snapshot', async (shop) => {
    const [stale, writer] = await shop.clients(2)
    const oid = await writer!.createOne('old')
    await stale!.poll()
    await writer!.write(oid, 'new')
    await refuses('conflict', 'a commit from an old snapshot', () =>
      stale!.commitHere(new Map([[oid, 'mine']])),
    )
  })

  it('a snapshot never shows half of a transaction', async (shop) => {
    const [reader, writer] = await shop.clients(2)
    const oids = await writer!.create(...Array.from({ length: 10 }, () => '0'))
    const writing = begun(async () => {
      for (let round = 1; round <= 40; round++) {
        await writer!.commit(new Map(oids.map((oid) => [oid, `${round}`])))
      }
    })
    await lookingOn(writing, async () => {
      await reader!.poll()
      const values = new Set<string | undefined>()
      for (const oid of shop.random.shuffled(oids)) {
        values.add(await reader!.read(oid))
        await new Promise((resolve) => setImmediate(resolve))
      }
      same(values.size, 1, `the number of different values in one snapshot (${[...values].join(', ')})`)
    })
  })

  it('an instance that is opened late sees everything', async (shop) => {
    const writer = await shop.client()
    const oids = await writer.create('a', 'b')
    await writer.write(oids[0]!, 'c')
    const late = await shop.client()
    await late.poll()
    same(await late.readMany(oids), ['c', 'b'], 'the objects')
  })

  it('polling twice in a row changes nothing', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await client.poll()
    const { snapshotTid } = client.instance
    await client.poll()
    same(client.instance.snapshotTid, snapshotTid, 'snapshotTid')
    same(await client.read(oid), 'a', 'the object')
  })
})
