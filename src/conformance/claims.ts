/**
 * Assertions whose messages say which promise was broken. Used by every topic; errors are told apart by their code,
 * because code is what callers of a storage decide by.
 */

import { AssertionError } from 'node:assert'
import { isDeepStrictEqual } from 'node:util'
import { describeError } from '../core/errors.ts'
import type { Awaitable } from '../storages/storage.ts'

export function fail(message: string): never {
  throw new AssertionError({ message })
}

/** @param claim what must be true, as a sentence: `the snapshot stays as it is` */
export function holds(condition: boolean, claim: string): asserts condition {
  if (!condition) fail(`not so: ${claim}`)
}

/** @param what the thing that is compared: `the value after the second poll` */
export function same(actual: unknown, expected: unknown, what: string): void {
  if (isDeepStrictEqual(actual, expected)) return
  throw new AssertionError({
    message: `${what} is ${show(actual)}, should be ${show(expected)}`,
    actual,
    expected,
    operator: 'same',
  })
}

/** Runs `call` and returns what it throws, synchronously or through its promise; undefined when it throws nothing. */
export async function errorOf(call: () => Awaitable<unknown>): Promise<unknown> {
  try {
    await call()
    return undefined
  } catch (error) {
    return error ?? new Error('it threw nothing in particular')
  }
}

/**
 * `call` must fail with one of these codes.
 * @param what the call, for the message: `store after vote`
 */
export async function refuses(
  codes: string | readonly string[],
  what: string,
  call: () => Awaitable<unknown>,
): Promise<Error> {
  const wanted = typeof codes === 'string' ? [codes] : codes
  const error = await errorOf(call)
  if (error === undefined) fail(`${what} must be refused with ${wanted.join(' or ')}, but it was carried out`)
  const code = codeOf(error)
  if (!(error instanceof Error) || code === undefined || !wanted.includes(code)) {
    throw new AssertionError({
      message: `${what} must be refused with ${wanted.join(' or ')}, but it failed with: ${describeError(error)}`,
      actual: error,
    })
  }
  return error
}

/** Fails with any error that has a code of ours. */
export async function refusesCoded(what: string, call: () => Awaitable<unknown>): Promise<void> {
  const error = await errorOf(call)
  if (error === undefined) fail(`${what} must be refused, but it was carried out`)
  if (codeOf(error) === undefined)
    fail(`${what} must be refused with a coded error, not ${describeError(error)}`)
}

export function codeOf(error: unknown): string | undefined {
  const code = (error as { readonly code?: unknown } | undefined)?.code
  return typeof code === 'string' ? code : undefined
}

/** Waits until `test` is true. For what may take a moment to travel, such as a commit to another process. */
export async function eventually(claim: string, test: () => Awaitable<boolean>): Promise<void> {
  const end = Date.now() + 10_000
  while (!(await test())) {
    if (Date.now() > end) fail(`not so, even after 10 s: ${claim}`)
    await pause(2)
  }
}

/**
 * Begins work that is waited for later. Should it never come to that, because something else fails first, then what
 * becomes of the work follows from it and is nobody's error.
 */
export function begun<T>(work: () => Awaitable<T>): Promise<T> {
  const promise = (async () => await work())()
  promise.catch(() => {})
  return promise
}

/**
 * Looks again and again while `work` goes on, and once more when it has ended. So a look that would wait for what the
 * work does ends, too, when the work fails.
 * @throws what `look` throws, at once; else what the work has thrown
 */
export async function lookingOn(work: Promise<unknown>, look: () => Promise<void>): Promise<void> {
  let isUnderWay = true
  const ended = begun(() => work.finally(() => (isUnderWay = false)))
  for (let looks = 1; isUnderWay; looks++) {
    await look()
    // Mostly at once, and now and then later, so that timers and disks get on.
    if (looks % 4 === 0) await pause()
  }
  await ended
  await look()
}

/** Lets everything that can happen happen, and then some. */
export function pause(milliseconds = 0): Promise<void> {
  return new Promise((resolve) => {
    if (milliseconds === 0) setImmediate(resolve)
    else setTimeout(resolve, milliseconds)
  })
}

/** Rejects when `work` does not end in time, with what `late` makes of it. */
export async function within<T>(
  limitMs: number,
  claim: string,
  work: Awaitable<T>,
  late = (): Error => new AssertionError({ message: `${claim} did not end within ${limitMs} ms` }),
): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), limitMs)
  })
  try {
    return await Promise.race([work, overdue])
  } finally {
    clearTimeout(timer)
  }
}

function show(value: unknown): string {
  if (value instanceof Set) return `{${[...value].join(', ')}}`
  if (value instanceof Map) return `{${[...value].map(([key, one]) => `${key}: ${show(one)}`).join(', ')}}`
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`
  if (typeof value === 'string') return JSON.stringify(value.length > 80 ? `${value.slice(0, 80)}…` : value)
  if (value instanceof Uint8Array) return `${value.length} bytes`
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value)
}
