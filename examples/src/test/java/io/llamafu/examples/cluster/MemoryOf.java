package io.llamafu.examples.cluster;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * The content of a JVM after a full garbage collection.
 *
 * @param jobClassLoaders class loaders of Flink jobs
 * @param nativeLibraries mapped copies of the native library
 * @param engineThreads threads of engines, and those that wait to close one
 * @param metaspaceBytes in use
 * @param residentBytes of the whole process
 */
record MemoryOf(
        long jobClassLoaders, long nativeLibraries, long engineThreads, double metaspaceBytes, long residentBytes) {
    private static final String JOB_CLASS_LOADER = "org.apache.flink.util.ChildFirstClassLoader";

    static MemoryOf process(long pid) throws IOException, InterruptedException {
        // The first collection finds the dead loaders, the second what they have freed.
        jcmd(pid, "GC.class_histogram");
        String histogram = jcmd(pid, "GC.class_histogram");
        long loaders = histogram
                .lines()
                .map(line -> line.trim().split("\\s+"))
                .filter(columns -> columns.length >= 4 && columns[3].equals(JOB_CLASS_LOADER))
                .mapToLong(columns -> Long.parseLong(columns[1]))
                .sum();
        return new MemoryOf(
                loaders, mappedLibraries(pid), engineThreads(pid), metaspace(pid), JavaProcess.residentBytes(pid));
    }

    /** Each copy is mapped in several parts under one name, which is marked as deleted. */
    private static long mappedLibraries(long pid) throws IOException {
        try (Stream<String> maps = Files.lines(Path.of("/proc/%d/maps".formatted(pid)))) {
            return maps.filter(line -> line.contains("libllamafu.so"))
                    .map(line -> line.substring(line.indexOf('/')))
                    .distinct()
                    .count();
        }
    }

    private static long engineThreads(long pid) throws IOException, InterruptedException {
        return jcmd(pid, "Thread.print")
                .lines()
                .filter(line -> line.startsWith("\"llamafu-"))
                .count();
    }

    /** As in {@code Metaspace       used 45678K, committed 46000K, reserved 1114112K}. */
    private static double metaspace(long pid) throws IOException, InterruptedException {
        String line = jcmd(pid, "GC.heap_info")
                .lines()
                .map(String::trim)
                .filter(text -> text.startsWith("Metaspace"))
                .findFirst()
                .orElseThrow();
        return 1024.0 * Long.parseLong(line.replaceAll(".*used (\\d+)K.*", "$1"));
    }

    private static String jcmd(long pid, String command) throws IOException, InterruptedException {
        Process process = new ProcessBuilder(
                        Path.of(System.getProperty("java.home"), "bin", "jcmd").toString(), Long.toString(pid), command)
                .redirectErrorStream(true)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        if (process.waitFor() != 0) {
            throw new IOException("jcmd %d %s: %s".formatted(pid, command, output));
        }
        return output;
    }
}
