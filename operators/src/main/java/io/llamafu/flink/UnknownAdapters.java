package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;

/** What happens to a route change or rule that names an unknown adapter. */
@PublicEvolving
public enum UnknownAdapters {
    /**
     * The change never takes effect and the previous route stays. The change is emitted by {@link
     * CompletionStreams#rejectedRoutes()} with the reason, whatever {@code on-error} says. The names are looked up in
     * the adapter folder as the TaskManager sees it.
     */
    REJECT_CHANGE,
    /**
     * The change takes effect. Names are looked up when a record is answered, so the adapter may be published later;
     * until then {@code on-error} applies to the records. The default.
     */
    FAIL_RECORDS
}
