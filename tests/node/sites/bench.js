// As little work as a request can be.
'use strict';
require('http').createServer((request, response) => response.end('id=0')).listen(8000, '127.0.0.1');
