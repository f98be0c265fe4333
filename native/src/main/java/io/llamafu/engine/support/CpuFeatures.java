package io.llamafu.engine.support;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/** The instruction set features of this machine's CPUs, as Linux names them. */
public final class CpuFeatures {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

    private CpuFeatures() {}

    /** Empty if unknown: not Linux, or {@code /proc} is not mounted. */
    public static Optional<Set<String>> current() {
        try {
            return parse(Files.readAllLines(CPU_INFO));
        } catch (IOException e) {
            return Optional.empty();
        }
    }

    /**
     * Parses the lines of {@code /proc/cpuinfo}: {@code flags} on x86, {@code Features} on ARM. A thread may run on any core,
     * so these are the features that all cores have.
     */
    public static Optional<Set<String>> parse(List<String> cpuInfo) {
        Set<String> common = null;
        for (String line : cpuInfo) {
            int colon = line.indexOf(':');
            if (colon < 0) {
                continue;
            }
            String key = line.substring(0, colon).strip();
            if (key.equals("flags") || key.equals("Features")) {
                Set<String> features = split(line.substring(colon + 1));
                if (common == null) {
                    common = features;
                } else {
                    common.retainAll(features);
                }
            }
        }
        return Optional.ofNullable(common);
    }

    /** A mutable set of the words of a text. */
    public static Set<String> split(String words) {
        Set<String> features = new HashSet<>(List.of(words.strip().split("\\s+")));
        features.remove("");
        return features;
    }
}
