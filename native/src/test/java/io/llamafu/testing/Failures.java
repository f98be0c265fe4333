package io.llamafu.testing;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import org.assertj.core.api.AbstractThrowableAssert;
import org.assertj.core.api.Condition;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;

import java.util.concurrent.CompletionException;
import java.util.concurrent.ExecutionException;

import static org.assertj.core.api.Assertions.assertThatThrownBy;

/** Assertions about failures with a code. */
public final class Failures {
    private Failures() {}

    /** A {@link LlamafuException} with this code, also as the cause of a failed future's exception. */
    public static Condition<Throwable> code(ErrorCode code) {
        return new Condition<>(
                failure -> cause(failure) instanceof LlamafuException coded && coded.code() == code,
                "the code %s",
                code);
    }

    public static void assertFails(ThrowingCallable action, ErrorCode code, String... partsOfTheMessage) {
        AbstractThrowableAssert<?, ?> failure = assertThatThrownBy(action).has(code(code));
        for (String part : partsOfTheMessage) {
            failure.hasMessageContaining(part);
        }
    }

    private static Throwable cause(Throwable failure) {
        boolean wraps = failure instanceof CompletionException || failure instanceof ExecutionException;
        return wraps ? failure.getCause() : failure;
    }
}
