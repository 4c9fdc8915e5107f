/** An address that is taken before there is a server. */

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parseOptions } from '../../../src/core/options.ts'
import memory from '../../../src/storages/memory.ts'
import { openStorage } from '../../../src/storages/open.ts'
import { type Address, formatAddress } from '../../../src/storages/zeo/address.ts'
import zeo from '../../../src/storages/zeo/index.ts'
import { takeAddress } from '../../../src/storages/zeo/listener.ts'
import { ZeoServer } from '../../../src/storages/zeo/server.ts'
import { oid, read, write } from './harness.ts'

const pem = (name: string) => fileURLToPath(new URL(`tls/${name}.pem`, import.meta.url))
const localhost = { kind: 'tcp', host: 'localhost', port: 0, tls: true } as const

test.each([
  ['a socket', (folder: string): Address => ({ kind: 'unix', path: join(folder, 's') }), undefined],
  ['TLS', (): Address => localhost, { certificate: pem('certificate'), key: pem('key') }],
])('who comes to %s too early is turned away, and gets in when there is a server', async (_, where, tls) => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  const storage = await openStorage(memory, { history: false })
  const taken = await takeAddress(where(folder), { hasToken: false, ...(tls && { tls }) })
  const capabilities = memory.capabilities({ history: false })
  const server = new ZeoServer({ storage, capabilities, name: 'memory', log: () => {} })
  const open = (address: Address) => {
    const given = { address: formatAddress(address), ...(tls && { caFile: tls.certificate }) }
    return openStorage(zeo, parseOptions('zeo', zeo.options, given))
  }
  try {
    await expect(open(taken.address)).rejects.toMatchObject({ code: 'disconnected' })
    const { address } = taken.serve(server)
    expect(address).toEqual(taken.address)
    const client = await open(address)
    const instance = await client.newInstance()
    await write(instance, oid(1), 'a')
    expect(await read(instance, oid(1))).toBe('a')
    await client.close()
  } finally {
    const closed = taken.close()
    await server.close(50)
    await closed
    await storage.close()
    rmSync(folder, { recursive: true })
  }
})
