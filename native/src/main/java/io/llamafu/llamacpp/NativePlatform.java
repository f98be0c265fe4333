package io.llamafu.llamacpp;

import java.util.Locale;

import static java.util.Objects.requireNonNull;

/**
 * The operating system and architecture of a native library, in the names of the resource folders: {@code
 * linux-x86_64}, {@code linux-aarch64}, {@code osx-aarch64}, {@code windows-x86_64}. Unknown names are kept as the JVM
 * reports them, for error messages.
 *
 * @param os {@code linux}, {@code osx}, {@code windows} or the JVM's own name
 * @param architecture {@code x86_64}, {@code aarch64} or the JVM's own name
 */
record NativePlatform(String os, String architecture) {

    NativePlatform {
        requireNonNull(os, "os is null");
        requireNonNull(architecture, "architecture is null");
    }

    static NativePlatform current() {
        return of(System.getProperty("os.name"), System.getProperty("os.arch"));
    }

    /** From the values of the system properties {@code os.name} and {@code os.arch}. */
    static NativePlatform of(String osName, String osArchitecture) {
        return new NativePlatform(normalizedOs(osName), normalizedArchitecture(osArchitecture));
    }

    private static String normalizedOs(String name) {
        String os = name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "");
        if (os.startsWith("mac") || os.startsWith("osx") || os.startsWith("darwin")) {
            return "osx";
        }
        return os.startsWith("windows") ? "windows" : os;
    }

    private static String normalizedArchitecture(String name) {
        String architecture = name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9_]+", "");
        return switch (architecture) {
            case "amd64", "x64", "x8664" -> "x86_64";
            case "arm64" -> "aarch64";
            default -> architecture;
        };
    }

    /** The folder in the jar with the libraries of this platform, each in the folder of its level. */
    String resourceFolder() {
        return "io/llamafu/native/" + this;
    }

    String libraryFileName() {
        return switch (os) {
            case "osx" -> "libllamafu.dylib";
            case "windows" -> "llamafu.dll";
            default -> "libllamafu.so";
        };
    }

    @Override
    public String toString() {
        return os + "-" + architecture;
    }
}
