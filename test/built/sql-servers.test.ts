/** Private database servers do not outlive the process that started them, however it ends. */

import { fork } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { missingServer } from '../storages/sql/servers.ts'
import { dist, messageOf } from './processes.ts'

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

test.for(['postgres', 'mysql'])(
  '%s ends, and its data go, when its owner is killed',
  async (name, { skip }) => {
    const folder = mkdtempSync(join(tmpdir(), 'shootout-owner-'))
    const input = {
      folder,
      module: new URL(`storages/sql/${name}/index.js`, dist).href,
      library: new URL('storages/index.js', dist).href,
    }
    const child = fork(owner, [JSON.stringify(input)])
    try {
      const said = await messageOf<Said>(child)
      if (said.url === undefined) return skip(missingServer(name, said.reason ?? ''))
      const data = join(socketFolder(said.url), 'data')
      expect(existsSync(data)).toBe(true)
      child.kill('SIGKILL')
      await expect.poll(() => existsSync(data)).toBe(false)
    } finally {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  },
)
