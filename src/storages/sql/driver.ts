/**
 * Loading a vendor's package. Each dialect has one file, `driver.ts`, that imports the vendor's package, lazily and
 * through `importDriver`, so that a package that is absent hurts only who asks for that database.
 */

import { ShootoutError } from '../../core/errors.ts'

/** A package that a dialect stands on. */
export interface DriverPackage {
  readonly name: string
  /** What a person types to get it. */
  readonly install: string
}

/** @throws ShootoutError `driver-missing` when the package is not installed or cannot be loaded */
export async function importDriver<T>(driver: DriverPackage, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause)
    throw new ShootoutError(
      'driver-missing',
      `the package ${driver.name} cannot be loaded (${reason}); install it with: ${driver.install}`,
      { cause, details: { package: driver.name } },
    )
  }
}
