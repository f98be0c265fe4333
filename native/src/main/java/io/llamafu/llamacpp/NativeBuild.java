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
 * @param march the instruction set as given to the compiler: {@code native}, {@code x86-64-v3}
 * @param requiredCpuFeatures features that the library may use, as Linux names them in {@code /proc/cpuinfo}
 */
record NativeBuild(String march, Set<String> requiredCpuFeatures) {
    static final String FILE_NAME = "build.properties";

    NativeBuild {
        requireNonNull(march, "march is null");
        requiredCpuFeatures = Collections.unmodifiableSet(
                new TreeSet<>(requireNonNull(requiredCpuFeatures, "requiredCpuFeatures is null")));
    }

    static NativeBuild read(InputStream in) throws IOException {
        Properties properties = new Properties();
        properties.load(in);
        return new NativeBuild(required(properties, "march"), CpuFeatures.split(required(properties, "cpu.features")));
    }

    private static String required(Properties properties, String key) throws IOException {
        String value = properties.getProperty(key);
        if (value == null) {
            throw new IOException("the key " + key + " is missing");
        }
        return value;
    }

    /** Refuses a library that the CPU cannot run; loading it would end the process with SIGILL. */
    void checkRunsOn(Set<String> cpuFeatures) {
        Set<String> missing = new TreeSet<>(requiredCpuFeatures);
        missing.removeAll(cpuFeatures);
        if (!missing.isEmpty()) {
            throw new LlamafuException(
                    ErrorCode.UNSUPPORTED_CPU,
                    "The native library was built with -march=" + march + ", but this CPU lacks "
                            + String.join(", ", missing)
                            + ". Rebuild it on this machine, or for a level that all machines have:"
                            + " mvn install -Dnative.march=x86-64-v2 (ARM: armv8-a).");
        }
    }
}
