package io.llamafu.llamacpp;

import org.junit.jupiter.api.Test;

/** Products of weights in host memory stay there, where our nodes change their results in place. */
class HostProductsTest {
    @Test
    void deviceThatWouldTakeThemIsNotAsked() throws Exception {
        ParityProgram.assertPasses("host_products");
    }
}
