/** What every engine needs. Internal: not for users of the engines. */
package io.llamafu.engine.support;
