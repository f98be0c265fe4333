/** Shared parts of the engines. Internal. */
package io.llamafu.engine.support;
