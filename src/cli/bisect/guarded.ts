/**
 * Commands and folders that do not outlive us. A small shell waits on a pipe from us; when that closes, because we are
 * done, because we were told to stop or because we were killed, it ends what it guards.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'

/** Asks the whole group to end, and after this makes it. */
const patienceSeconds = 10

const commandGuard = `
  exec 3<&0
  trap : TERM
  "$@" </dev/null 3<&- & child=$!
  ( trap : TERM; read -r _ <&3; kill -TERM 0; sleep ${patienceSeconds}; kill -KILL 0 ) >/dev/null 2>&1 & watch=$!
  wait $child; code=$?
  while kill -0 $child 2>/dev/null; do wait $child; code=$?; done
  kill -KILL $watch 2>/dev/null
  exit $code`

export interface Finished {
  readonly code: number
  readonly stdout: string
  /** Standard error; of a long one only the end. */
  readonly stderr: string
}

export interface GuardedOptions {
  readonly cwd: string
  readonly env: NodeJS.ProcessEnv
  /** Ends it. */
  readonly signal: AbortSignal
  /** Also gets its standard error, as it comes. */
  readonly echo?: NodeJS.WritableStream
}

const stderrLengthMax = 10_000

/**
 * Runs a command in a process group of its own.
 */
export async function runGuarded(
  command: readonly string[],
  { cwd, env, signal, echo }: GuardedOptions,
): Promise<Finished> {
  const child = spawn('/bin/sh', ['-c', commandGuard, 'shootout-guard', ...command], {
    cwd,
    env,
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  })
  // The guard reads until we are gone; that it is gone first is no error.
  child.stdin.on('error', () => {})
  const end = () => child.stdin.end()
  if (signal.aborted) end()
  signal.addEventListener('abort', end)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (data: string) => {
    stdout += data
  })
  child.stderr.setEncoding('utf8').on('data', (data: string) => {
    stderr = (stderr + data).slice(-stderrLengthMax)
    echo?.write(data)
  })
  try {
    const [code] = (await once(child, 'close')) as [number | null]
    return { code: code ?? -1, stdout, stderr }
  } finally {
    signal.removeEventListener('abort', end)
  }
}

/** What was guarded in it may still be writing while it ends. */
const folderGuard = `
  read -r _
  for again in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    rm -rf "$1" 2>/dev/null
    sleep 1
    [ -e "$1" ] || exit 0
  done`

/** Removes a folder when we are gone, however that comes about. */
export function guardFolder(folder: string): ChildProcess {
  const guard = spawn('/bin/sh', ['-c', folderGuard, 'shootout-guard', folder], {
    cwd: '/',
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  guard.unref()
  return guard
}
