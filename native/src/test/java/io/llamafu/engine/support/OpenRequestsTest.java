package io.llamafu.engine.support;

import io.llamafu.ErrorCode;
import io.llamafu.engine.CompletionRequest;
import io.llamafu.engine.CompletionResult;
import org.junit.jupiter.api.Test;

import java.time.Duration;
import java.util.concurrent.CompletableFuture;

import static io.llamafu.testing.Failures.code;
import static org.assertj.core.api.Assertions.assertThat;

class OpenRequestsTest {
    private static final Duration TIMEOUT = Duration.ofSeconds(2);

    private final OpenRequests requests = new OpenRequests();
    private final long start = System.nanoTime();

    @Test
    void timeIsCountedFromTheSubmission() {
        CompletableFuture<CompletionResult> request = open(TIMEOUT, start);

        requests.failOverdue(after(1_999));
        assertThat(request).isNotDone();
        requests.failOverdue(after(2_000));
        assertOverdue(request, "PT2S");
    }

    @Test
    void waitForOthersDoesNotCount() {
        CompletableFuture<CompletionResult> waiting = open(TIMEOUT, start);
        requests.waits(waiting, start);
        for (long second = 1; second <= 60; second++) {
            CompletableFuture<CompletionResult> served = open(TIMEOUT, after(second * 1_000));
            requests.proceeds(served, after(second * 1_000));
            served.cancel(false);
            requests.failOverdue(after(second * 1_000 + 999));
        }
        assertThat(waiting).isNotDone();

        requests.proceeds(waiting, after(61_000));
        requests.failOverdue(after(62_999));
        assertThat(waiting).isNotDone();
        requests.failOverdue(after(63_000));
        assertOverdue(waiting, "PT2S");
    }

    @Test
    void lineThatDoesNotMoveEndsAfterTheLongestTimeout() {
        CompletableFuture<CompletionResult> longest = open(Duration.ofSeconds(5), start);
        CompletableFuture<CompletionResult> waiting = open(TIMEOUT, start);
        requests.waits(longest, start);
        requests.waits(waiting, start);

        requests.failOverdue(after(4_999));
        assertThat(waiting).isNotDone();
        requests.failOverdue(after(5_000));
        assertOverdue(waiting, "no request of the engine had its turn for PT5S");
        assertOverdue(longest, "PT5S");
        assertThat(requests.count()).isZero();
    }

    /** A slow request that held the only slot does not make others fail. */
    @Test
    void requestThatIsOverdueMakesPlaceForThoseInLine() {
        CompletableFuture<CompletionResult> running = open(TIMEOUT, start);
        CompletableFuture<CompletionResult> waiting = open(TIMEOUT, start);
        requests.proceeds(running, start);
        requests.waits(waiting, start);

        requests.failOverdue(after(2_000));
        assertOverdue(running, "its timeout of PT2S");
        assertThat(waiting).isNotDone();

        requests.failOverdue(after(3_999));
        assertThat(waiting).isNotDone();
        requests.failOverdue(after(4_000));
        assertOverdue(waiting, "no request of the engine had its turn for PT2S");
    }

    /** The request that was served took longer than the timeout of those that wait. */
    @Test
    void requestThatIsAnsweredMakesPlaceForThoseInLine() {
        long longAgo = start - Duration.ofMinutes(1).toNanos();
        CompletableFuture<CompletionResult> running = open(Duration.ofMinutes(10), longAgo);
        CompletableFuture<CompletionResult> waiting = open(TIMEOUT, longAgo);
        requests.proceeds(running, longAgo);
        requests.waits(waiting, longAgo);
        running.cancel(false);

        requests.failOverdue(after(1_000));
        assertThat(waiting).isNotDone();
    }

    @Test
    void endlessTimeoutNeverEnds() {
        CompletableFuture<CompletionResult> request = open(Duration.ofSeconds(Long.MAX_VALUE), start);
        CompletableFuture<CompletionResult> waiting = open(Duration.ofSeconds(Long.MAX_VALUE), start);
        requests.waits(waiting, start);

        requests.failOverdue(start + Duration.ofDays(365).toNanos());

        assertThat(request).isNotDone();
        assertThat(waiting).isNotDone();
    }

    /** For callers that cannot wait until the queue has moved. */
    @Test
    void patienceCountsTheWaitToo() {
        CompletableFuture<CompletionResult> waiting = requests.open(TIMEOUT, Duration.ofSeconds(3), start);
        requests.waits(waiting, start);
        for (long second = 1; second <= 2; second++) {
            requests.proceeds(open(TIMEOUT, after(second * 1_000)), after(second * 1_000));
        }

        requests.failOverdue(after(2_999));
        assertThat(waiting).isNotDone();
        requests.failOverdue(after(3_000));
        assertOverdue(waiting, "within PT3S of its submission");
    }

    private CompletableFuture<CompletionResult> open(Duration timeout, long nowNanos) {
        return requests.open(timeout, CompletionRequest.ENDLESS_PATIENCE, nowNanos);
    }

    private long after(long millis) {
        return start + Duration.ofMillis(millis).toNanos();
    }

    private static void assertOverdue(CompletableFuture<CompletionResult> request, String reason) {
        assertThat(request).isCompletedExceptionally();
        assertThat(request.handle((completion, failure) -> failure).join())
                .has(code(ErrorCode.DEADLINE_EXCEEDED))
                .hasMessageContaining(reason);
    }
}
