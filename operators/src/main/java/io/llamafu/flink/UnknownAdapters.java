package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;

/** What becomes of a route change or rule that names an adapter which does not exist. */
@PublicEvolving
public enum UnknownAdapters {
    /**
     * The change never takes effect and the previous route stays. It leaves by {@link CompletionStreams#rejectedRoutes()}
     * with the reason, whatever {@code on-error} says. The router looks the names up in its TaskManager's adapter folder.
     */
    REJECT_CHANGE,
    /**
     * The change takes effect. Each record that it routes is looked up when it is answered, so that the adapter may be
     * published later; until then {@code on-error} decides about the records. The default.
     */
    FAIL_RECORDS
}
