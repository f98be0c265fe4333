package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

class NativeHandleTest {
    private static final class Handle extends NativeHandle {
        private int frees;

        private Handle() {
            super(0xbeef);
        }

        @Override
        void free(long nativeAddress) {
            frees++;
        }
    }

    @Test
    void isFreedOnceAndOnlyWithoutUsers() {
        Handle handle = new Handle();
        assertThat(handle.acquire()).isEqualTo(0xbeef);

        assertThatThrownBy(handle::close).hasMessageContaining("it has 1 users");
        handle.release();
        handle.close();
        handle.close();

        assertThat(handle.frees).isEqualTo(1);
        assertThatThrownBy(handle::acquire).hasMessageContaining("was closed");
    }

    @Test
    void releaseWithoutAnAcquireTakesNobodysUse() {
        Handle handle = new Handle();
        assertThatThrownBy(handle::release).hasMessageContaining("released more often than it was acquired");

        assertThat(handle.acquire()).isEqualTo(0xbeef);
        assertThatThrownBy(handle::close).hasMessageContaining("it has 1 users");
        handle.release();
        handle.close();
        assertThatThrownBy(handle::release).isInstanceOf(IllegalStateException.class);
        handle.close();
        assertThat(handle.frees).isEqualTo(1);
    }
}
