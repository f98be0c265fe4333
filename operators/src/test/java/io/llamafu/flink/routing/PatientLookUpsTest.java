package io.llamafu.flink.routing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

@Timeout(60)
class PatientLookUpsTest {

    /** The first waits for a bounded time, the others not at all; then the store answers again. */
    @Test
    void storeThatDoesNotAnswerIsAskedOnceAndWaitedForOnce() throws Exception {
        CountDownLatch hangs = new CountDownLatch(1);
        CountDownLatch answered = new CountDownLatch(1);
        AtomicInteger questions = new AtomicInteger();
        try (PatientLookUps names = new PatientLookUps(
                name -> {
                    if (questions.incrementAndGet() == 1) {
                        await(hangs);
                        answered.countDown();
                    }
                    return name.equals("medical");
                },
                Duration.ofMillis(100))) {
            assertUnavailable(() -> names.test("medical"));
            for (int i = 0; i < 100; i++) {
                assertUnavailable(() -> names.test("legal"));
            }
            assertThat(questions).hasValue(1);

            hangs.countDown();
            answered.await();
            assertThat(patiently(names, "medical")).isTrue();
            assertThat(patiently(names, "legal")).isFalse();
        }
    }

    /** The thread may not be back yet, or too slow. */
    private static boolean patiently(PatientLookUps names, String name) {
        while (true) {
            try {
                return names.test(name);
            } catch (LlamafuException e) {
                Thread.onSpinWait();
            }
        }
    }

    @Test
    void failureOfTheStoreKeepsItsCode() {
        try (PatientLookUps names = new PatientLookUps(name -> {
            throw new LlamafuException(ErrorCode.ARTIFACT_UNAVAILABLE, "the store is down");
        })) {
            assertThatThrownBy(() -> names.test("medical"))
                    .isInstanceOf(LlamafuException.class)
                    .hasMessageContaining("the store is down");
        }
    }

    private static void assertUnavailable(ThrowingCallable question) {
        assertThatThrownBy(question).isInstanceOfSatisfying(LlamafuException.class, e -> assertThat(e.code())
                .isEqualTo(ErrorCode.ARTIFACT_UNAVAILABLE));
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
