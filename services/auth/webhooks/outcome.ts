/** How attempts to deliver an event end. `dead`: no further one is made. */
export const DELIVERY_OUTCOMES = ['delivered', 'postponed', 'dead'] as const

export type DeliveryOutcomeName = (typeof DELIVERY_OUTCOMES)[number]

/** Counts the outcome of an attempt, for the metrics. */
export type DeliveryCount = (receiver: 'webhook' | 'amqp', outcome: DeliveryOutcomeName) => void
