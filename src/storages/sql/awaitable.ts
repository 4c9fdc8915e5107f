/** Working with "a value or a promise" without paying for a promise where there is a value. */

import type { Awaitable } from '../storage.ts'

/** `use(value)` at once, or when the promise resolves. */
export function chain<T, U>(value: Awaitable<T>, use: (value: T) => Awaitable<U>): Awaitable<U> {
  return value instanceof Promise ? value.then(use) : use(value)
}

/** As `chain`, and `recover` gets what either step throws. It must throw again, or give the value. */
export function attempt<T>(run: () => Awaitable<T>, recover: (error: unknown) => Awaitable<T>): Awaitable<T> {
  try {
    const value = run()
    return value instanceof Promise ? value.catch(recover) : value
  } catch (error) {
    return recover(error)
  }
}
