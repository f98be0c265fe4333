package io.llamafu.llamacpp;

import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

import static java.nio.charset.StandardCharsets.UTF_8;

/** Hands llama.cpp's log lines to slf4j, under the logger {@code io.llamafu.llamacpp.log}. */
final class LogRelay {
    /** Said of every adapter tensor on a CPU that repacks weights, where it is as it should be. */
    private static final String EXPECTED_FALLBACK = "cannot use buft 'CPU_REPACK'";

    private static final Logger LOG = LoggerFactory.getLogger("io.llamafu.llamacpp.log");

    private LogRelay() {}

    /** Relays what was logged since the last call. llama.cpp's own information is detail here, hence debug. */
    static void relay() {
        byte[] lines = LlamaCpp.drainLog();
        if (lines.length == 0) {
            return;
        }
        new String(lines, UTF_8).lines().filter(line -> line.length() > 1).forEach(line -> {
            String text = line.substring(1).stripTrailing();
            switch (line.charAt(0)) {
                case '4' -> LOG.error("{}", text);
                case '3' -> {
                    if (text.contains(EXPECTED_FALLBACK)) {
                        LOG.debug("{}", text);
                    } else {
                        LOG.warn("{}", text);
                    }
                }
                default -> LOG.debug("{}", text);
            }
        });
    }
}
