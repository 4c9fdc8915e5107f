#!/usr/bin/env node
/** The command line: arguments → command → exit code. */

import { CommanderError } from 'commander'
import { describeError, ShootoutError } from '../core/errors.ts'
import { exitCodeOfError, exitCodes } from './exit-codes.ts'
import { makeProgram } from './program.ts'

// A reader that has seen enough, a terminal that is gone or a disk that is full must not end a measurement: its results
// are in a file. But what could not be written for want of room must not pass for a success.
let unwritten: NodeJS.ErrnoException | undefined
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE' && error.code !== 'EIO') unwritten ??= error
  })
}
process.on('exit', () => {
  if (unwritten === undefined) return
  process.stderr.write(
    `shootout: not all output could be written (${unwritten.message}); write it to another place (output-unwritable)\n`,
  )
  process.exitCode ||= exitCodes.incomplete
})

try {
  await makeProgram().parseAsync()
} catch (error) {
  process.exitCode = report(error)
}

function report(error: unknown): number {
  if (error instanceof CommanderError) {
    // Commander has printed its message; asking for help or the version is not an error.
    return error.exitCode === 0 ? exitCodes.pass : exitCodes.usage
  }
  process.stderr.write(`shootout: ${describeError(error)}\n`)
  if (error instanceof ShootoutError) return exitCodeOfError(error)
  const { stack } = error as Error
  const place = thrownAt(stack)
  if (place !== undefined && !place.startsWith(new URL('..', import.meta.url).href)) {
    process.stderr.write(`It was thrown at ${place}, which is no part of shootout:\n${stack}\n`)
    return exitCodes.usage
  }
  process.stderr.write(`This is a defect of shootout. Please report it with this trace:\n${stack}\n`)
  return exitCodes.internal
}

/** The first module in a trace: a storage or scenario of the user's may throw anything. */
function thrownAt(stack = ''): string | undefined {
  return /^\s+at .*?(file:\/\/[^\s)]+)/m.exec(stack)?.[1]
}
