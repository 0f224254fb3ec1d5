/**
 * What the server sends, as types.
 *
 * @typedef {object} CauseFields Why a breaker changed its state.
 * @property {string} trigger
 * @property {string | null} kind The kind of the rule that tripped.
 * @property {string | null} rule
 * @property {number | null} observed
 * @property {number | null} threshold
 * @property {number | null} calls
 * @property {number | null} counted
 * @property {{calls?: number, seconds?: number} | null} window
 * @property {number | null} slow_call_seconds
 * @property {string | null} last_error
 * @property {string | null} error_type
 * @property {number | null} error_status
 * @property {string | null} peer
 * @property {string | null} reason
 * @property {string | null} author
 * @property {number | null} for_seconds
 *
 * @typedef {object} OutageFields The time since a breaker was closed.
 * @property {string} since ISO 8601.
 * @property {CauseFields} cause
 * @property {Record<string, number>} errors
 * @property {number} probes_failed
 * @property {number} rejected
 *
 * @typedef {object} BreakerEntry A breaker; an update has only the fields that have changed.
 * @property {string} state
 * @property {number | null} time_in_state_seconds
 * @property {number | null} retry_after In seconds from the message's time.
 * @property {{would_reject: number, failed: number, succeeded: number} | null} shadow
 * @property {OutageFields | null} outage
 * @property {CauseFields | null} cause
 * @property {string | null} group What it has in common with others that are open for the same cause.
 * @property {string | null} last_error
 * @property {string} rule
 * @property {number} generation
 * @property {number} attempt
 * @property {number} failure_count
 * @property {number | null} failure_rate
 * @property {number | null} slow_call_rate
 * @property {number} probes_in_flight
 * @property {number | null} probes_passed While half open.
 * @property {number | null} success_threshold While half open.
 * @property {number} success_total
 * @property {number} failure_total
 * @property {number} ignored_total
 * @property {number} cancelled_total
 * @property {number} rejected_total
 * @property {number} probe_total
 *
 * @typedef {object} TransitionEntry
 * @property {number} seq
 * @property {string} at ISO 8601.
 * @property {string} breaker
 * @property {string} old
 * @property {string} new
 * @property {CauseFields} cause
 *
 * @typedef {object} FleetEntry
 * @property {boolean} connected
 * @property {string | null} problem
 * @property {Record<string, string>} probes The worker that runs the probe, by breaker.
 *
 * @typedef {object} Trip What breakers opened by.
 * @property {string | null} kind
 * @property {string} trigger
 * @property {string | null} error_type
 * @property {number | null} error_status
 * @property {string | null} peer
 * @property {number | null} observed
 * @property {number | null} threshold
 * @property {{calls?: number, seconds?: number} | null} window
 *
 * @typedef {object} Group The breakers that are open for one cause.
 * @property {string} id
 * @property {Trip} trip
 * @property {string} since ISO 8601.
 * @property {number} count How many are open.
 * @property {string | null} breaker The only one.
 * @property {string} state The state of the only one.
 * @property {number} closed How many have closed since.
 * @property {string | null} closing_since
 * @property {string | null} ended_at
 *
 * @typedef {object} Overview All breakers together.
 * @property {string} instance
 * @property {number} total How many reject calls when they are open.
 * @property {Record<string, number>} counts
 * @property {Group[]} groups The largest first.
 * @property {number} other_causes
 * @property {{trip: Trip, since: string, ended_at: string, count: number} | null} last_outage
 * @property {{breaker: string, state: string, since: string, author: string | null}[]} forgotten
 *
 * @typedef {object} States The states of the last thirty minutes.
 * @property {number} slot_seconds
 * @property {number} slot The number of the latest slot since 1970.
 * @property {Record<string, [string | null, number][]>} breakers Run lengths, the oldest first.
 *
 * @typedef {object} About What a dashboard says about itself.
 * @property {number} version
 * @property {boolean} control
 * @property {number} interval_seconds
 * @property {number} [quiet_seconds]
 * @property {number} [breakers_per_update]
 * @property {string} run
 * @property {string | null} [service] The name of the service.
 *
 * @typedef {object} Message What all messages have.
 * @property {string} timestamp ISO 8601.
 * @property {TransitionEntry[]} transitions
 * @property {FleetEntry | null} fleet
 * @property {Overview} [overview]
 * @property {number} dropped
 *
 * @typedef {Message & {dashboard: About, breakers: Record<string, BreakerEntry>, history?: States}} Snapshot
 * @typedef {Message & {changed: Record<string, Partial<BreakerEntry>>, removed: string[]}} Update
 */

export {};
