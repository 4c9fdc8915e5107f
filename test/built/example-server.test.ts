/** The example of README: a server in one terminal, two processes in another. */

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const file = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const run = promisify(execFile)

test('what one process writes through a served log the other is told of, and the status counts it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-zeo-'))
  const address = `unix:${join(folder, 's')}`
  const main = file('dist/cli/main.js')
  const server = spawn(process.execPath, [
    main,
    'serve',
    `file:${join(folder, 'data.log')}`,
    '--listen',
    address,
  ])
  try {
    let log = ''
    server.stderr.setEncoding('utf8').on('data', (text: string) => {
      log += text
    })
    await once(server.stdout, 'data')
    const { stdout } = await run(process.execPath, [file('examples/two-processes.js'), address])
    expect(stdout).toMatch(/changed object 0 in transaction \d+: written 3 times\n$/)
    const status = await run(process.execPath, [main, 'status', address])
    expect(JSON.parse(status.stdout)).toMatchObject({ storage: 'file', commits: 3, pid: server.pid })
    const exited = once(server, 'exit')
    server.kill('SIGTERM')
    expect(await exited).toEqual([0, null])
    const events = log
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).event)
      // On a busy machine any request may be.
      .filter((event) => event !== 'slow')
    expect(events).toEqual(['listening', 'connected', 'connected', 'disconnected', 'disconnected', 'closing'])
  } finally {
    server.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
