package io.llamafu.flink;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.SharedEngines;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.RestartStrategyOptions;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.test.junit5.MiniClusterExtension;
import org.apache.flink.util.ExceptionUtils;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowable;

/** A job that restarts ends at once if its engine can never be opened; what may pass is tried again. */
class ConfigurationErrorIT {
    private static final int RESTARTS = 3;
    private static final AtomicInteger ATTEMPTS = new AtomicInteger();

    @RegisterExtension
    static final MiniClusterExtension CLUSTER = Jobs.cluster(1);

    private final StreamExecutionEnvironment env = Jobs.environment(restarting(), 1);

    @BeforeEach
    void reset() {
        ATTEMPTS.set(0);
    }

    private static Configuration restarting() {
        Configuration configuration = Llamafu.recommended(new Configuration());
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY, "fixed-delay");
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_ATTEMPTS, RESTARTS);
        configuration.set(RestartStrategyOptions.RESTART_STRATEGY_FIXED_DELAY_DELAY, Duration.ZERO);
        return configuration;
    }

    private Throwable failure(CompletionBuilder<String> job) {
        job.prompt(text -> text)
                .with(LlamafuOptions.builder()
                        .model("/only-on-taskmanagers/base.gguf")
                        .build())
                .build()
                .print();
        return catchThrowable(env::execute);
    }

    @Test
    void wrongModelPathEndsTheJob() {
        Throwable failure = failure(new CompletionBuilder<>(env.fromData("a"), options -> {
            ATTEMPTS.incrementAndGet();
            return SharedEngines.acquire(options);
        }));

        assertThat(ATTEMPTS).hasValue(1);
        assertThat(ExceptionUtils.findThrowable(failure, LlamafuException.class))
                .hasValueSatisfying(coded -> assertThat(coded)
                        .hasMessageContaining("MODEL_NOT_FOUND: ")
                        .hasMessageContaining("/only-on-taskmanagers/base.gguf"));
    }

    @Test
    void whatMayPassIsTriedAgain() {
        Throwable failure = failure(new CompletionBuilder<>(env.fromData("a"), options -> {
            ATTEMPTS.incrementAndGet();
            throw new LlamafuException(ErrorCode.ARTIFACT_UNAVAILABLE, "The store is down.");
        }));

        assertThat(ATTEMPTS).hasValue(1 + RESTARTS);
        assertThat(ExceptionUtils.findThrowableWithMessage(failure, "ARTIFACT_UNAVAILABLE: The store is down."))
                .isPresent();
    }

    /** The configuration worked before the restart, so a checkpoint must not be lost to a disk that is away for a moment. */
    @Test
    void fileThatIsGoneAfterARestartIsWaitedFor() {
        Throwable failure = failure(new CompletionBuilder<>(env.fromData("a"), options -> {
            boolean first = ATTEMPTS.incrementAndGet() == 1;
            throw new LlamafuException(
                    first ? ErrorCode.ARTIFACT_UNAVAILABLE : ErrorCode.MODEL_NOT_FOUND, "The disk is away.");
        }));

        assertThat(ATTEMPTS).hasValue(1 + RESTARTS);
        assertThat(ExceptionUtils.findThrowableWithMessage(failure, "MODEL_NOT_FOUND: The disk is away."))
                .isPresent();
    }
}
