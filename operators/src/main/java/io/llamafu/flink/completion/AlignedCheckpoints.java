package io.llamafu.flink.completion;

import org.apache.flink.configuration.CheckpointingOptions;
import org.apache.flink.configuration.Configuration;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import java.util.Optional;

/**
 * Warns about Flink's default: an aligned checkpoint waits until the model has answered everything that queues before
 * it.
 */
final class AlignedCheckpoints {
    private static final Logger LOG = LoggerFactory.getLogger(AlignedCheckpoints.class);

    private AlignedCheckpoints() {}

    /** Warns once per operator. */
    static void warn(Configuration job, int subtask) {
        if (subtask == 0) {
            problem(job).ifPresent(LOG::warn);
        }
    }

    /** The problem with the checkpoints of a job, if any. */
    static Optional<String> problem(Configuration job) {
        return CheckpointingOptions.isCheckpointingEnabled(job)
                        && !CheckpointingOptions.isUnalignedCheckpointEnabled(job)
                ? Optional.of("The checkpoints of this job are aligned: under a backlog each waits until the model has"
                        + " answered all records that queue before it, and the job fails when"
                        + " execution.checkpointing.timeout has passed. Set '"
                        + CheckpointingOptions.ENABLE_UNALIGNED.key()
                        + "' = 'true', or configure the job with Llamafu.recommended(...).")
                : Optional.empty();
    }
}
