package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;

/** What happens to a record that cannot be answered. */
@PublicEvolving
public enum OnError {
    /** The job fails with the coded error, and restarts according to its restart strategy. */
    FAIL,
    /** A {@link Completion} whose text, error code and error are all null; the error is only counted and logged. */
    NULL,
    /** A {@link Completion} without text, with the error code and the error. */
    EMIT
}
