package io.llamafu.llamacpp;

import io.llamafu.ErrorCode;
import io.llamafu.LlamafuException;
import io.llamafu.engine.support.CpuFeatures;

import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import java.util.Properties;
import java.util.Set;
import java.util.TreeSet;

import static java.util.Objects.requireNonNull;

/**
 * What a native library was built for: the {@code build.properties} beside it.
 *
 * @param level the instruction set: {@code native}, {@code x86-64-v3}
 * @param requiredCpuFeatures features that the library may use, as Linux names them in {@code /proc/cpuinfo}
 */
record NativeBuild(String level, Set<String> requiredCpuFeatures) {
    static final String FILE_NAME = "build.properties";

    NativeBuild {
        requireNonNull(level, "level is null");
        requiredCpuFeatures = Collections.unmodifiableSet(
                new TreeSet<>(requireNonNull(requiredCpuFeatures, "requiredCpuFeatures is null")));
    }

    static NativeBuild read(InputStream in) throws IOException {
        Properties properties = new Properties();
        properties.load(in);
        return new NativeBuild(required(properties, "level"), CpuFeatures.split(required(properties, "cpu.features")));
    }

    private static String required(Properties properties, String key) throws IOException {
        String value = properties.getProperty(key);
        if (value == null) {
            throw new IOException("the key " + key + " is missing");
        }
        return value;
    }

    boolean runsOn(Set<String> cpuFeatures) {
        return cpuFeatures.containsAll(requiredCpuFeatures);
    }

    /** Refuses a library that the CPU cannot run; loading it would end the process with SIGILL. */
    void checkRunsOn(Set<String> cpuFeatures) {
        Set<String> missing = new TreeSet<>(requiredCpuFeatures);
        missing.removeAll(cpuFeatures);
        if (!missing.isEmpty()) {
            throw new LlamafuException(
                    ErrorCode.UNSUPPORTED_CPU,
                    "The native library needs the instruction set " + level + ", but this CPU lacks "
                            + String.join(", ", missing)
                            + ". Build one for it, on this machine with mvn install -Dnative.march=native, or for a lower"
                            + " level, such as x86-64-v2 (ARM: armv8-a).");
        }
    }
}
