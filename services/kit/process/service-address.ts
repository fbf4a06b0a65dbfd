/** The part of a service that the settings read: its number, which is never given to another service. */
export interface NumberedService {
  number: number
}

/** Names the setting that holds a service's address, such as `AUTH_URL`. */
export function addressSetting<Name extends string>(name: Name): `${Uppercase<Name>}_URL` {
  return `${name.toUpperCase() as Uppercase<Name>}_URL`
}

/** Names the setting that says where a service listens, such as `AUTH_LISTEN`, if not at its address. */
export function listenSetting<Name extends string>(name: Name): `${Uppercase<Name>}_LISTEN` {
  return `${name.toUpperCase() as Uppercase<Name>}_LISTEN`
}

/** The setting that says where a process of all services listens. */
export const LISTEN_ALL = 'CH202_LISTEN'

/** The address of a service when no setting gives another: port 3000 plus its number. */
export function defaultAddress({ number }: NumberedService): string {
  return `http://127.0.0.1:${3000 + number}`
}
