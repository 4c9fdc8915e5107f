/** A storage can do what it says, and says what it can do. */

import { UsageError } from '../../core/errors.ts'
import { maxTid } from '../../core/ids.ts'
import { parseOptions } from '../../core/options.ts'
import { storageModuleProblem } from '../../storages/storage.ts'
import { needs, topic } from '../behaviour.ts'
import { errorOf, holds, same } from '../claims.ts'

const reaches = ['isolate', 'process', 'host', 'network']
const durabilities = ['memory', 'os', 'full', 'replicated']

export const honesty = topic('honesty', (it) => {
  it('the module is complete', async ({ module }) => {
    same(storageModuleProblem(module), undefined, 'what is missing in the module')
    holds(module.summary.length > 0 && !module.summary.includes('\n'), 'the summary is one line')
  })

  it('the defaults of the options are valid, and come back as they were', async ({ module }) => {
    const defaults = parseOptions(module.name, module.options, {})
    for (const [name, option] of Object.entries(module.options)) {
      same(
        option.parse(option.format(option.default)),
        option.default,
        `the default of ${name}, written and read`,
      )
      holds(option.summary.length > 0, `the option ${name} has a summary`)
    }
    same(Object.keys(defaults).sort(), Object.keys(module.options).sort(), 'the names of the options')
  })

  it('an unknown option is refused', async ({ module }) => {
    const error = await errorOf(() => parseOptions(module.name, module.options, { noSuchOption: 1 }))
    holds(error instanceof UsageError, 'the error is a UsageError')
  })

  it('capabilities are a fact: the same each time, complete, and of known values', async ({
    module,
    options,
  }) => {
    const capabilities = module.capabilities(options)
    same(module.capabilities(options), capabilities, 'the second answer')
    holds(
      reaches.includes(capabilities.reach),
      `reach (${capabilities.reach}) is one of ${reaches.join(', ')}`,
    )
    holds(
      durabilities.includes(capabilities.durability),
      `durability (${capabilities.durability}) is one of ${durabilities.join(', ')}`,
    )
    for (const [name, value] of Object.entries(capabilities)) {
      if (name !== 'reach' && name !== 'durability') same(typeof value, 'boolean', `the type of ${name}`)
    }
  })

  it('what survives closing is persistent, and nothing else is', async ({ capabilities }) => {
    holds(
      capabilities.persistent || capabilities.durability === 'memory',
      'a storage that keeps nothing has the durability "memory"',
    )
  })

  it('`deletion` tells whether transactions have delete', async (shop) => {
    const client = await shop.client()
    await client.poll()
    const transaction = client.begin()
    same(typeof transaction.delete === 'function', shop.capabilities.deletion, 'that there is a delete')
    await transaction.abort()
  })

  it('`undo` tells whether there are undo and history', async (shop) => {
    const client = await shop.client()
    await client.poll()
    const transaction = client.begin()
    same(typeof transaction.undo === 'function', shop.capabilities.undo, 'that there is an undo')
    same(typeof client.instance.history === 'function', shop.capabilities.undo, 'that there is a history')
    await transaction.abort()
  })

  it('`iteration` tells whether there are iterate and restore', async (shop) => {
    const storage = await shop.storage()
    same(typeof storage.iterate === 'function', shop.capabilities.iteration, 'that there is an iterate')
    same(typeof storage.restore === 'function', shop.capabilities.iteration, 'that there is a restore')
  })

  it('`pack` tells whether there is a pack', async (shop) => {
    const storage = await shop.storage()
    same(typeof storage.pack === 'function', shop.capabilities.pack, 'that there is a pack')
  })

  it('`prefetch` tells whether there is a prefetch', async (shop) => {
    const client = await shop.client()
    same(
      typeof client.instance.prefetch === 'function',
      shop.capabilities.prefetch,
      'that there is a prefetch',
    )
  })

  it('`blobs` tells whether there are storeBlob and openBlob', async (shop) => {
    const client = await shop.client()
    await client.poll()
    const transaction = client.begin()
    const { blobs } = shop.capabilities
    same(typeof transaction.storeBlob === 'function', blobs, 'that there is a storeBlob')
    same(typeof client.instance.openBlob === 'function', blobs, 'that there is an openBlob')
    await transaction.abort()
  })

  it('`conflictResolution` tells whether the resolver is asked', async (shop) => {
    let calls = 0
    await shop.openWith({
      resolveConflict: (_oid, _base, _committed, mine) => {
        calls++
        return mine
      },
    })
    const [a, b] = await shop.clients(2)
    const oid = await a!.createOne('base')
    await a!.poll()
    await b!.write(oid, 'theirs')
    const error = await errorOf(() => a!.commitHere(new Map([[oid, 'mine']])))
    same(calls > 0, shop.capabilities.conflictResolution, 'that the resolver was asked')
    same(error === undefined, shop.capabilities.conflictResolution, 'that the commit succeeded')
  })

  it('`history` tells whether old revisions stay', async (shop) => {
    const client = await shop.client()
    const oid = await client.newOid()
    const tids = []
    for (let round = 0; round < 5; round++) tids.push(await client.write(oid, `${round}`))
    await client.instance.release()
    const fresh = await shop.client()
    const span = await fresh.instance.loadBefore(oid, tids[2]!)
    if (shop.capabilities.history) same(span?.serial, tids[1], 'the serial of the old revision')
    // Without history, an old revision may be there for a while, but it must be the right one.
    else if (span !== undefined) same(span.serial, tids[1], 'the serial of the old revision')
    same(
      (await fresh.instance.loadBefore(oid, maxTid))?.serial,
      tids[4],
      'the serial of the current revision',
    )
  })

  it('`persistent` tells whether data survive closing', async (shop) => {
    const client = await shop.client()
    const oid = await client.createOne('a')
    await shop.reopen()
    const again = await shop.client()
    same(
      (await again.readNow(oid)) !== undefined,
      shop.capabilities.persistent,
      'that the object is still there',
    )
  })

  it(
    'a durable commit is flushed',
    async (shop) => {
      const client = await shop.client()
      const oid = await client.newOid()
      await client.write(oid, 'a')
      const before = client.storage.counters()
      await client.write(oid, 'b')
      const after = client.storage.counters()
      const { durability } = shop.capabilities
      const isElsewhere = after.roundTrips > before.roundTrips || after.statements > before.statements
      const flushes = after.syncs - before.syncs
      // Who leaves it to another process or to a database cannot count the flushes itself.
      if (durability === 'full' || durability === 'replicated') {
        holds(
          flushes > 0 || isElsewhere,
          'a commit of full durability counts a sync, a round trip or a statement',
        )
      }
    },
    needs('persistent'),
  )
})
