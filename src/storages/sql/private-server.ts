/**
 * Servers that a run starts for itself: in a folder of their own, as an unprivileged user, on a unix socket, and gone
 * when their owner is gone. A small shell stands between: it waits on a pipe from us, and when that closes, because we
 * asked or because we died, however suddenly, it stops the server and removes the folder. So nothing is left behind.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { ShootoutError } from '../../core/errors.ts'

/** Socket paths are limited to 107 bytes by the operating system; the file's name takes some of them. */
const socketFolderBytesMax = 85
const readyTimeoutMs = 30_000
const stopTimeoutMs = 20_000

export const run = promisify(execFile)

export interface PrivateServer {
  /** Opens it, for any process of this machine. */
  readonly url: string
  /** Of the shell that guards the server, which is below it. */
  readonly pid: number
  stop(): Promise<void>
}

export interface ServerWanted {
  /** Of this run; the server's files go below it where the server's user can reach it. */
  readonly folder: string
  /** Survives loss of power, or only the death of processes. */
  readonly durability: 'full' | 'os'
  /** Resolves when the server answers. */
  probe(url: string): Promise<void>
  log(message: string): void
}

/** One kind of server. */
export interface ServerRecipe {
  /** For messages. */
  readonly title: string
  /** Users that may run it where we are root, the best first. */
  readonly users: readonly string[]
  /** What makes the server end at once, in order. */
  readonly signal: 'INT' | 'TERM'
  /** Fills the folder with an empty database. @returns the command that runs the server in it */
  prepare(folder: string, identity: Identity): Promise<readonly string[]>
  /** Opens the server that runs in this folder. */
  urlOf(folder: string): string
}

/** @throws ShootoutError `server-failed` */
export async function startPrivateServer(recipe: ServerRecipe, wanted: ServerWanted): Promise<PrivateServer> {
  const { title, signal } = recipe
  const identity = await unprivileged(recipe.users)
  const folder = makeServerFolder(wanted.folder, identity)
  let command: readonly string[]
  try {
    wanted.log(`${title}: making an empty database`)
    command = await recipe.prepare(folder, identity)
  } catch (cause) {
    rmSync(folder, { recursive: true, force: true })
    throw serverError(title, 'making an empty database failed', cause)
  }
  const server = new GuardedServer(title, command, { folder, identity, signal })
  const url = recipe.urlOf(folder)
  await server.untilReady(() => wanted.probe(url))
  return { url, pid: server.pid, stop: () => server.stop() }
}

export interface Identity {
  readonly uid?: number
  readonly gid?: number
}

/** Database servers refuse to run as root; then another user does it. @throws ShootoutError `server-failed` */
async function unprivileged(names: readonly string[]): Promise<Identity> {
  if (process.getuid?.() !== 0) return {}
  for (const name of names) {
    try {
      const uid = Number((await run('id', ['-u', name])).stdout)
      const gid = Number((await run('id', ['-g', name])).stdout)
      return { uid, gid }
    } catch {
      // There is no such user; the next will do.
    }
  }
  throw new ShootoutError(
    'server-failed',
    `database servers do not run as root, and there is no user ${names.join(' or ')} to run one; start as another user`,
  )
}

/**
 * A folder for the server: below that of the run where the server's user can reach it and the socket's path is short
 * enough, else elsewhere.
 */
function makeServerFolder(wanted: string, identity: Identity): string {
  const isShort = Buffer.byteLength(wanted) <= socketFolderBytesMax - 3
  const isReachable = identity.uid === undefined || isTraversable(dirname(wanted))
  let folder: string
  if (isShort && isReachable) {
    folder = join(wanted, 'db')
    mkdirSync(folder)
    // The folder of the run is ours alone; the server's user must get through it.
    if (identity.uid !== undefined) chmodSync(wanted, 0o711)
  } else {
    folder = mkdtempSync(join(tmpdir(), 'shootout-db-'))
  }
  chmodSync(folder, 0o700)
  if (identity.uid !== undefined && identity.gid !== undefined) chownSync(folder, identity.uid, identity.gid)
  return folder
}

function isTraversable(folder: string): boolean {
  for (let current = folder; ; current = dirname(current)) {
    if ((statSync(current).mode & 0o001) === 0) return false
    if (current === dirname(current)) return true
  }
}

/** `wait` takes notice of a server that has ended; only asking whether its process exists would not, until then. */
const guard = `
  folder=$1; signal=$2; shift 2
  exec 3<&0
  "$@" </dev/null 3<&- & server=$!
  ( read -r _ <&3; kill -$signal $server ) >/dev/null 2>&1 & watch=$!
  trap 'kill -$signal $server' TERM
  while kill -0 $server 2>/dev/null; do wait $server; done
  kill $watch 2>/dev/null
  cd /; rm -rf "$folder"`

interface Guarded {
  /** Everything of the server is in it. Removed when the server has ended. */
  readonly folder: string
  readonly identity: Identity
  /** What makes the server end at once, in order. */
  readonly signal: 'INT' | 'TERM'
}

class GuardedServer {
  readonly #child: ChildProcess
  readonly #name: string
  readonly #folder: string
  #said = ''

  /** Detached: a Ctrl-C at the terminal is for us; the server ends when we have finished with it. */
  constructor(name: string, command: readonly string[], { folder, identity, signal }: Guarded) {
    this.#name = name
    this.#folder = folder
    this.#child = spawn('/bin/sh', ['-c', guard, 'shootout-server', folder, signal, ...command], {
      ...identity,
      cwd: folder,
      detached: true,
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    this.#child.stderr!.on('data', (data: Buffer) => {
      if (this.#said.length < 4000) this.#said += data.toString()
    })
  }

  get pid(): number {
    return this.#child.pid!
  }

  /** Resolves when `probe` does. Ends the server and throws when that takes too long. */
  async untilReady(probe: () => Promise<void>): Promise<void> {
    const deadline = Date.now() + readyTimeoutMs
    for (;;) {
      try {
        await probe()
        return
      } catch (cause) {
        const hasEnded = this.#child.exitCode !== null
        if (hasEnded || Date.now() > deadline) {
          await this.stop()
          const what = hasEnded ? 'it ended at once' : 'it did not answer in time'
          throw serverError(this.#name, `${what}: ${this.#said.trim()}`, cause)
        }
      }
      await new Promise((resolve) => {
        setTimeout(resolve, 50)
      })
    }
  }

  async stop(): Promise<void> {
    const child = this.#child
    if (child.exitCode === null && child.signalCode === null) {
      const ended = new Promise<void>((resolve) => {
        child.once('exit', () => resolve())
      })
      child.stdin!.end()
      const timer = setTimeout(() => child.kill('SIGKILL'), stopTimeoutMs)
      await ended
      clearTimeout(timer)
    }
    // The guard has emptied it, but may not be allowed to remove it.
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function serverError(name: string, what: string, cause: unknown): ShootoutError {
  const reason = cause instanceof Error ? cause.message.trim() : String(cause)
  return new ShootoutError(
    'server-failed',
    `a private ${name} server could not be started: ${what} (${reason}); mend that, or name a server of your own with url`,
    { cause },
  )
}

/** True for an ordinary file, through links. */
export function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true
}
