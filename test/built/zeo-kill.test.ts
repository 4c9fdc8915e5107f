/** Servers and clients that are killed, as processes of their own: kill -9 in every phase of commits. */

import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { isTransient, ShootoutError } from '../../src/core/errors.ts'
import { parseOptions } from '../../src/core/options.ts'
import { Random } from '../../src/core/random.ts'
import { openStorage } from '../../src/storages/open.ts'
import zeo from '../../src/storages/zeo/index.ts'
import { dist, kill, messageOf, TestProcesses } from './processes.ts'
import { addOne, addOneAtLast, readBoth } from './zeo-pair.ts'

const processes = new TestProcesses('zeo-kill')

const open = () =>
  openStorage(zeo, parseOptions('zeo', zeo.options, { address: processes.address(), wait: '20s' }))

test('whatever moment the server is killed at, what was reported is there, and nothing twice', async () => {
  const random = new Random('kill the server')
  let server = await processes.startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  let certain = 0
  let unknown = 0
  for (let round = 0; round < 12; round++) {
    const victim = server
    const killed = new Promise((resolve) => setTimeout(resolve, random.integer(25))).then(() => kill(victim))
    let isBack = false
    const restarted = killed.then(async () => {
      server = await processes.startServer()
      isBack = true
    })
    while (!isBack) {
      try {
        await addOne(instance, random.integer(2) === 0)
        certain++
      } catch (error) {
        if (error instanceof ShootoutError && error.code === 'commit-outcome-unknown') unknown++
        else if (!isTransient(error)) throw error
      }
    }
    await restarted
  }
  const { value } = await readBoth(instance)
  expect(value).toBeGreaterThanOrEqual(certain)
  expect(value).toBeLessThanOrEqual(certain + unknown)
  await storage.close()
})

test('a client that is killed holds nobody up and leaves nothing half done', async () => {
  await processes.startServer()
  const storage = await open()
  const instance = await storage.newInstance()
  await addOne(instance, true)
  const script = fileURLToPath(new URL('./fixtures/zeo-client.js', import.meta.url))
  const random = new Random('kill the client')
  for (let round = 0; round < 8; round++) {
    const client = processes.fork(script, [dist.href, processes.address()])
    await messageOf(client)
    await new Promise((resolve) => setTimeout(resolve, random.integer(20)))
    await kill(client)
    await addOneAtLast(instance)
  }
  expect((await readBoth(instance)).value).toBeGreaterThan(8)
  await storage.close()
})

test('a server ends with its parent, and removes what it made', async () => {
  const server = await processes.startServer()
  const exited = once(server, 'exit')
  server.disconnect()
  expect(await exited).toEqual([0, null])
})
