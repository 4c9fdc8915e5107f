/** `shootout serve` with TLS, told by SIGHUP that its certificate was renewed. */

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { makeCertificate } from '../storages/zeo/certificates.ts'
import { eventually } from '../storages/zeo/harness.ts'
import { mainPath } from './shootout.ts'

test('SIGHUP makes a server use a renewed certificate, and never ends it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-tls-'))
  const { cert, key } = makeCertificate(folder, { name: 'server', hosts: ['localhost'] })
  const args = ['serve', 'memory', '--listen', 'tls:localhost:0', '--tls-cert', cert, '--tls-key', key]
  const server = spawn(process.execPath, [mainPath, ...args])
  try {
    let log = ''
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    await once(server.stdout, 'data')
    const told = () =>
      log
        .split('\n')
        .slice(0, -1)
        .map((line) => JSON.parse(line))
        .filter(({ event }) => event === 'certificate')
    makeCertificate(folder, { name: 'server', hosts: ['localhost'] })
    server.kill('SIGHUP')
    await eventually(() => told().length === 1, 'the renewal is logged')
    writeFileSync(key, 'broken')
    server.kill('SIGHUP')
    await eventually(() => told().length === 2, 'the broken key is logged')
    expect(told()).toMatchObject([
      { level: 'info', renewed: true },
      { level: 'error', code: 'tls-files' },
    ])
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
  } finally {
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
