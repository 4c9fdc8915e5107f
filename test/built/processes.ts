/** The build that is tested, and processes of it: each test has a folder of its own, and what it starts ends with it. */

import { type ChildProcess, type ForkOptions, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach } from 'vitest'
import { parseAddress } from '../../src/storages/zeo/address.ts'

/** SHOOTOUT_DIST names another build, by its URL or path, with a slash at the end. */
export const dist = new URL(process.env['SHOOTOUT_DIST'] ?? '../../dist/', import.meta.url)

/** Resolves when it has ended, also when it has already. */
export async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

/** What a process says next. @throws Error when it ends instead */
export async function messageOf<T>(child: ChildProcess): Promise<T> {
  const calledOff = new AbortController()
  const { signal } = calledOff
  const ended = once(child, 'exit', { signal }).then(([code, by]: unknown[]): never => {
    throw new Error(`the process ended, with ${String(code ?? by)}, and has said nothing`)
  })
  try {
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [T]
    return message
  } finally {
    calledOff.abort()
  }
}

/** What a server serves, and where in the folder. */
export interface ServerGiven {
  readonly socket?: string
  readonly moduleUrl?: string
  readonly options?: Readonly<Record<string, unknown>>
  readonly env?: NodeJS.ProcessEnv
}

export class TestProcesses {
  /** Of the test that runs. */
  folder = ''
  readonly #children: ChildProcess[] = []

  /** Once in a test file, at its top: registers what happens before and after each test. */
  constructor(name: string) {
    beforeEach(() => {
      this.folder = mkdtempSync(join(tmpdir(), `shootout-${name}-`))
    })
    afterEach(async () => {
      await Promise.all(this.#children.splice(0).map(kill))
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  fork(script: string, args: readonly string[] = [], options: ForkOptions = {}): ChildProcess {
    const child = fork(script, args, options)
    this.#children.push(child)
    return child
  }

  /** Address of a server in the folder. */
  address(socket = 's'): string {
    return `unix:${join(this.folder, socket)}`
  }

  /** A server over the log in the folder, where nothing else is given. Resolves when it listens. */
  async startServer(given: ServerGiven = {}): Promise<ChildProcess> {
    const { env = process.env, options = {} } = given
    const entry = fileURLToPath(new URL('storages/zeo/server-entry.js', dist))
    const child = this.fork(entry, [], { serialization: 'advanced', env })
    const request = {
      moduleUrl: given.moduleUrl ?? new URL('storages/file/index.js', dist).href,
      options: { path: join(this.folder, 'data.log'), durability: 'os', ...options },
      address: parseAddress(this.address(given.socket)),
      token: '',
    }
    child.send({ type: 'serve', request })
    for (;;) {
      const message = await messageOf<{ type: string; error?: { message: string } }>(child)
      if (message.type === 'listening') return child
      if (message.type === 'failed') throw new Error(message.error?.message)
    }
  }
}
