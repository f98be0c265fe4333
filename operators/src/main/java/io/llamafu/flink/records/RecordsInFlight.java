package io.llamafu.flink.records;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.apache.flink.annotation.Internal;
import org.apache.flink.util.ExceptionUtils;
import org.apache.flink.util.StateMigrationException;
import org.apache.flink.util.function.SupplierWithException;

/** The states that keep what travels through the operators: requests alone, or with their records. */
@Internal
public final class RecordsInFlight {
    private RecordsInFlight() {}

    /**
     * Opens such a state.
     *
     * @throws LlamafuException {@link ErrorCode#INVALID_OPTION} if the savepoint has the elements of another kind of job
     */
    public static <S, X extends Exception> S open(SupplierWithException<S, X> state) throws X {
        try {
            return state.get();
        } catch (Exception e) {
            if (ExceptionUtils.findThrowable(e, StateMigrationException.class).isPresent()) {
                throw new LlamafuException(
                        ErrorCode.INVALID_OPTION,
                        "The savepoint's records in flight are not of this job's type: build() keeps requests,"
                                + " buildWithRecords() and buildStreams() keep them with their records of type T. Start"
                                + " the job as it was, stop it with --drain, and start this one with another uid and"
                                + " --allowNonRestoredState.",
                        e);
            }
            throw e;
        }
    }
}
