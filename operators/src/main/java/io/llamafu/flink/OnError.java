package io.llamafu.flink;

import org.apache.flink.annotation.PublicEvolving;

/** What becomes of a record that cannot be answered. */
@PublicEvolving
public enum OnError {
    /** The job fails with the coded error, and restarts as its restart strategy says. */
    FAIL,
    /** A {@link Completion} whose text, error code and error are all null; the error is only counted and logged. */
    NULL,
    /** A {@link Completion} without text that carries the error code and the error. */
    EMIT
}
