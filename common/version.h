/* The release all programs of one build share. */
#ifndef COMMON_VERSION_H
#define COMMON_VERSION_H

#define VPN_RELEASE "0.1.0"

#endif
