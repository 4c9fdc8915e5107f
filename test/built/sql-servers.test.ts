/** Private database servers do not outlive the process that started them, however it ends. */

import { fork } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const built = new URL(process.env['SHOOTOUT_BUILT'] ?? '../../dist/', import.meta.url)
const owner = fileURLToPath(new URL('./fixtures/server-owner.js', import.meta.url))

interface Said {
  readonly reason?: string
  readonly url?: string
}

/** The folder of the server's socket. */
function socketFolder(url: string): string {
  const parameters = new URL(url.replace('@/', '@localhost/')).searchParams
  return parameters.get('host') ?? dirname(parameters.get('socketPath')!)
}

test.each(['postgres', 'mysql'])('%s ends, and its data go, when its owner is killed', async (name) => {
  const folder = mkdtempSync(join(tmpdir(), 'shootout-owner-'))
  const input = {
    folder,
    module: new URL(`storages/sql/${name}/index.js`, built).href,
    library: new URL('storages/index.js', built).href,
  }
  const child = fork(owner, [JSON.stringify(input)])
  try {
    const said = await new Promise<Said>((resolve, reject) => {
      child.once('message', (message) => resolve(message as Said))
      child.once('exit', (code) => reject(new Error(`the owner ended with code ${code}`)))
    })
    if (said.url === undefined) {
      const isRequired = (process.env['SHOOTOUT_REQUIRE'] ?? '').split(',').includes(name)
      expect(isRequired, `SHOOTOUT_REQUIRE asks for ${name}, but: ${said.reason}`).toBe(false)
      return
    }
    const data = join(socketFolder(said.url), 'data')
    expect(existsSync(data)).toBe(true)
    child.kill('SIGKILL')
    await expect.poll(() => existsSync(data), { timeout: 30_000, interval: 100 }).toBe(false)
  } finally {
    child.kill('SIGKILL')
    rmSync(folder, { recursive: true, force: true })
  }
})
